#!/usr/bin/env python3
"""Make the W1 load of the speed claim: 512 real texts of 16 to 256 tokens, 128 on average.

Each text is the beginning of another SciFact document (title, space, abstract), cut at a word
boundary where it has exactly the wanted number of all-MiniLM-L6-v2 tokens, [CLS] and [SEP]
included. The wanted numbers lie on one smooth curve, so that every length is about as common.
Needs the `tokenizers` package; the same corpus and tokenizer always make the same file.

    make_w1.py --corpus scifact/corpus.jsonl --tokenizer MODEL/tokenizer.json --out w1.jsonl
"""

import argparse
import json
import random
import sys
from pathlib import Path

from tokenizers import Tokenizer

COUNT, SHORTEST, LONGEST, MEAN = 512, 16, 256, 128
SEED = 20261122


def target_lengths() -> list[int]:
    """Lengths along SHORTEST + span * u**power; its mean over u in [0, 1] is span / (power + 1)."""
    span = LONGEST - SHORTEST
    power = span / (MEAN - SHORTEST) - 1
    return [round(SHORTEST + span * (i / (COUNT - 1)) ** power) for i in range(COUNT)]


def cut(tokenizer: Tokenizer, text: str, length: int) -> str | None:
    """The beginning of `text` that ends before a space and has `length` tokens, if there is one."""
    encoding = tokenizer.encode(text)
    if len(encoding.ids) <= length:
        return None
    # Token length - 1 of the full text is the first one left out: [CLS] comes first, [SEP] last.
    end, following = encoding.offsets[length - 2][1], encoding.offsets[length - 1][0]
    if not text[end:following].isspace():
        return None
    beginning = text[:end]
    return beginning if len(tokenizer.encode(beginning).ids) == length else None


def read_corpus(path: Path) -> list[tuple[str, str]]:
    """Identifier and text of each document, as retrieval benchmarks feed it to an encoder."""
    with path.open(encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return [(d["_id"], f'{d["title"]} {d["text"]}'.strip()) for d in documents]


def make_load(tokenizer: Tokenizer, documents: list[tuple[str, str]]) -> list[dict[str, str]]:
    """One text for each wanted length, in shuffled order; no document is used twice."""
    order = random.Random(SEED)
    order.shuffle(documents)
    lengths = target_lengths()
    order.shuffle(lengths)
    load = []
    for identifier, text in documents:
        if len(load) == COUNT:
            break
        beginning = cut(tokenizer, text, lengths[len(load)])
        if beginning is not None:
            load.append({"id": identifier, "text": beginning})
    return load


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="corpus.jsonl of BEIR SciFact")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of the model")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines to write")
    args = parser.parse_args()

    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    load = make_load(tokenizer, read_corpus(args.corpus))
    if len(load) < COUNT:
        print(f"the corpus yields only {len(load)} of {COUNT} texts", file=sys.stderr)
        return 1
    with args.out.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in load)

    counts = [len(tokenizer.encode(row["text"]).ids) for row in load]
    print(f"{len(counts)} texts, tokens: mean {sum(counts) / len(counts):.2f}, "
          f"min {min(counts)}, max {max(counts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
