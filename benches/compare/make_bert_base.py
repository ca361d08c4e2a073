#!/usr/bin/env python3
"""Write a model of BERT-base's shape with seeded random weights, in the hub's layout.

Speed hangs on the shape, not on the values. Tokenizer and settings are those of --like, so that
the same loads hold the same tokens. Runs in the peers' environment; see requirements.txt.

    make_bert_base.py --like models/sentence-transformers/all-MiniLM-L6-v2 --out target/peers/bert-base
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from folders import build_once

SEED = 20261122
COPIED = (
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
POOLING = "1_Pooling/config.json"


def make(like: Path, out: Path) -> None:
    torch.manual_seed(SEED)
    vocabulary = json.loads((like / "config.json").read_text())["vocab_size"]
    # BertConfig's defaults are BERT-base; CTranslate2 wants to be told of the positions.
    config = BertConfig(vocab_size=vocabulary, position_embedding_type="absolute")
    model = BertModel(config, add_pooling_layer=False)
    model.save_pretrained(out)
    for name in COPIED:
        shutil.copy(like / name, out / name)
    pooling = json.loads((like / POOLING).read_text())
    pooling["word_embedding_dimension"] = model.config.hidden_size
    (out / POOLING).parent.mkdir()
    (out / POOLING).write_text(json.dumps(pooling, indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--like", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    build_once(args.out, lambda folder: make(args.like, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
