#!/usr/bin/env python3
"""Make the loads W1 to W4 of the speed claims from real text: BEIR's SciFact.

    W1: 512 documents (title, space, abstract) cut to 16..256 tokens, 128 on average
    W1-quarter: every fourth text of W1, for large models
    W2: 1,000 queries of 5..20 tokens: SciFact's test queries, then titles of its documents
    W3: 64 documents cut to 256 tokens
    W4: 200 queries and titles cut to 12 tokens, for single calls
    calibration: 128 further documents with lengths as in W1, for peers that need them

Lengths are in tokens of all-MiniLM-L6-v2, [CLS] and [SEP] included. A text is cut at a word
boundary where it has exactly the wanted length; no document is used twice. The same corpus and
tokenizer always make the same files. Needs the `tokenizers` package.

    make_loads.py --data scifact --tokenizer MODEL/tokenizer.json --out target/peers/loads
"""

import argparse
import json
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer

SHORTEST, LONGEST, MEAN = 16, 256, 128
QUERY_SHORTEST, QUERY_LONGEST = 5, 20
SEED = 20261122
W1_TEXTS, W2_TEXTS, W3_TEXTS, W4_TEXTS, CALIBRATION_TEXTS = 512, 1000, 64, 200, 128
W4_TOKENS = 12

Named = tuple[str, str]


class TooFew(Exception):
    """The corpus does not yield a load."""


def spread_lengths(count: int) -> list[int]:
    """Lengths along SHORTEST + span * u**power; its mean over u in [0, 1] is span / (power + 1)."""
    span = LONGEST - SHORTEST
    power = span / (MEAN - SHORTEST) - 1
    return [round(SHORTEST + span * (i / (count - 1)) ** power) for i in range(count)]


def cut(tokenizer: Tokenizer, text: str, length: int) -> str | None:
    """The beginning of `text` that ends before a space and has `length` tokens, if there is one."""
    encoding = tokenizer.encode(text)
    if len(encoding.ids) == length:
        return text
    if len(encoding.ids) < length:
        return None
    # Token length - 1 of the full text is the first one left out: [CLS] comes first, [SEP] last.
    end, following = encoding.offsets[length - 2][1], encoding.offsets[length - 1][0]
    if not text[end:following].isspace():
        return None
    beginning = text[:end]
    return beginning if len(tokenizer.encode(beginning).ids) == length else None


def read(path: Path) -> list[dict]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def cut_each(tokenizer: Tokenizer, texts: Iterator[Named], lengths: Iterable[int]) -> list[Named]:
    """One text for each wanted length, taken off `texts` until one has a beginning that long."""
    load = []
    for length in lengths:
        for identifier, text in texts:
            if (beginning := cut(tokenizer, text, length)) is not None:
                load.append((identifier, beginning))
                break
        else:
            raise TooFew(f"the texts run out at {len(load)}, the next one of {length} tokens")
    return load


def short_enough(tokenizer: Tokenizer, texts: Iterable[Named], count: int) -> list[Named]:
    """The first `count` texts of a query's length."""
    sizes = ((named, len(tokenizer.encode(named[1]).ids)) for named in texts)
    load = [named for named, size in sizes if QUERY_SHORTEST <= size <= QUERY_LONGEST][:count]
    if len(load) < count:
        raise TooFew(f"only {len(load)} of {count} queries and titles have a query's length")
    return load


def make_loads(tokenizer: Tokenizer, data: Path) -> dict[str, list[Named]]:
    order = random.Random(SEED)
    documents = [
        (d["_id"], f'{d["title"]} {d["text"]}'.strip(), d["title"])
        for d in read(data / "corpus.jsonl")
    ]
    queries = [(q["_id"], q["text"]) for q in read(data / "queries.test.jsonl")]
    order.shuffle(documents)
    w1_lengths = spread_lengths(W1_TEXTS)
    order.shuffle(w1_lengths)
    calibration_lengths = spread_lengths(CALIBRATION_TEXTS)
    order.shuffle(calibration_lengths)
    texts = ((identifier, text) for identifier, text, _ in documents)
    queries += [(identifier, title) for identifier, _, title in documents]
    w1 = cut_each(tokenizer, texts, w1_lengths)
    return {
        "W1": w1,
        "W1-quarter": w1[::4],
        "W2": short_enough(tokenizer, queries, W2_TEXTS),
        "W3": cut_each(tokenizer, texts, [LONGEST] * W3_TEXTS),
        "W4": cut_each(tokenizer, iter(queries), [W4_TOKENS] * W4_TEXTS),
        "calibration": cut_each(tokenizer, texts, calibration_lengths),
    }


def write(tokenizer: Tokenizer, path: Path, load: list[Named]) -> None:
    rows = (json.dumps({"id": i, "text": t}, ensure_ascii=False) + "\n" for i, t in load)
    path.write_text("".join(rows), encoding="utf-8", newline="\n")
    counts = [len(tokenizer.encode(text).ids) for _, text in load]
    print(f"{path.stem}: {len(counts)} texts, tokens: mean {sum(counts) / len(counts):.2f}, "
          f"min {min(counts)}, max {max(counts)}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR's SciFact")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of the model")
    parser.add_argument("--out", type=Path, required=True, help="folder for the JSON lines")
    args = parser.parse_args()

    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        loads = make_loads(tokenizer, args.data)
    except (TooFew, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    for name, load in loads.items():
        write(tokenizer, args.out / f"{name}.jsonl", load)
    return 0


if __name__ == "__main__":
    sys.exit(main())
