"""Makes the golden reference vectors that the Rust tests compare with, from sentence-transformers run in float64.

    python -B tests/golden/make_golden.py --model DIR --out tests/golden

DIR is the folder of sentence-transformers/all-MiniLM-L6-v2 (model.safetensors with sha256 53aa5117…); the packages are those
of `requirements.txt`. It writes:

* `minilm/texts.json`: the texts of `texts.py`, and English prose cut to exact numbers of tokens;
* `minilm/ids.json`: for each text, its token ids with special tokens, truncated to the model's 256;
* `minilm/vectors.npy`: [texts, 384] little-endian float32, C order: the float64 vectors, rounded once;
* `tiny/`: a seeded random model, see `tiny_model.py`;
* `tiny_cases.json`: its vectors under many settings, see `tiny_cases.py`.

A second run writes the same bytes. Another CPU may round float64 sums differently, which can move a value by one unit in
the last of its written places.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from json_files import write_json_lines
from reference import encode, load_reference, token_ids
from texts import LITERAL_TEXTS, MEASURED_LENGTHS, measured_text
from tiny_cases import run_cases
from tiny_model import write_tiny_model


def main():
    parser = argparse.ArgumentParser(description="Makes the golden reference vectors.")
    parser.add_argument("--model", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True, help="folder that receives minilm/, tiny/, tiny_cases.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    write_minilm(load_reference(arguments.model), arguments.out / "minilm")
    write_tiny_model(arguments.out / "tiny")
    write_json_lines(arguments.out / "tiny_cases.json", run_cases(arguments.out / "tiny"))


def write_minilm(model, folder):
    """Writes the texts, ids and vectors of the real model."""

    def count_tokens(text):
        return len(model.tokenizer(text, truncation=False, verbose=False)["input_ids"])

    folder.mkdir(parents=True, exist_ok=True)
    texts = LITERAL_TEXTS + [measured_text(length, count_tokens) for length in MEASURED_LENGTHS]
    write_json_lines(folder / "texts.json", texts)
    write_json_lines(folder / "ids.json", token_ids(model, texts))
    np.save(folder / "vectors.npy", encode(model, texts).astype("<f4"))


if __name__ == "__main__":
    main()
