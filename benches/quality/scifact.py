#!/usr/bin/env python3
"""Retrieval quality on BEIR's SciFact through `chunkflow embed`, by working dtype.

Embeds the corpus (title, space, text) and the test queries, ranks by exact cosine and prints
nDCG@10, recall@100 and MRR@10 as BEIR defines them. Exits 1 if f32 is off the published nDCG@10 or
another dtype is off f32. Needs numpy.

    CHUNKFLOW_DATA=data scifact.py --chunkflow BINARY --model MODEL --dtype f32,bf16,int8
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# Published for all-MiniLM-L6-v2.
PUBLISHED = 0.645
# How far f32 may be from what is published, and other dtypes from f32.
TOLERANCE = {"f32": 0.002, "bf16": 0.002, "int8": 0.006}
DEPTH, CUTOFF = 100, 10

# Query to document to gain.
Judged = dict[str, dict[str, int]]


class Failed(Exception):
    """The command embedded nothing, or not everything."""


def read_jsonl(path: Path) -> list[dict]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_judged(path: Path) -> Judged:
    judged: Judged = {}
    with path.open(encoding="utf-8") as rows:
        for query, document, gain in list(csv.reader(rows, delimiter="\t"))[1:]:
            judged.setdefault(query, {})[document] = int(gain)
    return judged


class Embedder:
    """`chunkflow embed` with one dtype."""

    def __init__(self, args: argparse.Namespace, dtype: str, scratch: Path) -> None:
        self.command = [
            args.chunkflow, "embed", "--quiet", "--model", args.model, "--dtype", dtype,
            "--threads", str(args.threads), "--field", "text",
        ]
        self.scratch = scratch

    def vectors(self, name: str, texts: list[str]) -> np.ndarray:
        rows, out = self.scratch / f"{name}.jsonl", self.scratch / f"{name}.npy"
        rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        done = subprocess.run([*self.command, "--force", "--output", out, rows])
        if done.returncode != 0:
            raise Failed(f"chunkflow embed exited with {done.returncode}")
        vectors = np.load(out)
        if len(vectors) != len(texts):
            raise Failed(f"{len(vectors)} vectors for {len(texts)} texts")
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def best_documents(queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Indices of the DEPTH nearest documents of each query, nearest first."""
    return np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :DEPTH]


def ndcg(gains: list[int], judged: dict[str, int]) -> float:
    def discounted(values: list[int]) -> float:
        return sum(gain / np.log2(rank + 2) for rank, gain in enumerate(values[:CUTOFF]))

    return discounted(gains) / discounted(sorted(judged.values(), reverse=True))


def reciprocal_rank(gains: list[int]) -> float:
    return next((1 / (rank + 1) for rank, gain in enumerate(gains[:CUTOFF]) if gain > 0), 0.0)


def recall(gains: list[int], judged: dict[str, int]) -> float:
    return sum(gain > 0 for gain in gains) / sum(gain > 0 for gain in judged.values())


def scores(ranked: dict[str, list[str]], judged: Judged) -> tuple[float, float, float]:
    """nDCG@10, recall@100, MRR@10: means over the judged queries."""
    rows = []
    for query, wanted in judged.items():
        gains = [wanted.get(document, 0) for document in ranked[query]]
        rows.append((ndcg(gains, wanted), recall(gains, wanted), reciprocal_rank(gains)))
    return tuple(np.mean(rows, axis=0))


def evaluate(data: Path, embedder: Embedder) -> tuple[float, float, float]:
    judged = read_judged(data / "qrels.test.tsv")
    corpus = read_jsonl(data / "corpus.jsonl")
    queries = [q for q in read_jsonl(data / "queries.test.jsonl") if q["_id"] in judged]
    documents = embedder.vectors("corpus", [f'{d["title"]} {d["text"]}'.strip() for d in corpus])
    best = best_documents(embedder.vectors("queries", [q["text"] for q in queries]), documents)
    ranked = {q["_id"]: [corpus[i]["_id"] for i in row] for q, row in zip(queries, best)}
    return scores(ranked, judged)


def within(found: dict[str, float]) -> bool:
    """Whether every nDCG@10 is close enough; prints what is not."""
    expected = {dtype: found.get("f32", PUBLISHED) for dtype in found} | {"f32": PUBLISHED}
    off = [d for d in found if abs(found[d] - expected[d]) > TOLERANCE[d]]
    for dtype in off:
        print(f"error: {dtype}: nDCG@10 is {found[dtype]:.5f}, expected {expected[dtype]:.5f} "
              f"+- {TOLERANCE[dtype]}", file=sys.stderr)
    return not off


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunkflow", type=Path, required=True, help="chunkflow binary")
    parser.add_argument("--model", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--dtype", default="f32,bf16,int8", help="of f32, bf16 and int8")
    parser.add_argument("--threads", type=int, default=0, help="0 for all (default)")
    args = parser.parse_args()
    args.dtypes = args.dtype.split(",")
    if unknown := set(args.dtypes) - TOLERANCE.keys():
        parser.error(f"no such dtype: {', '.join(unknown)}")
    if "CHUNKFLOW_DATA" not in os.environ:
        parser.error("set CHUNKFLOW_DATA to the folder that contains scifact/")
    args.data = Path(os.environ["CHUNKFLOW_DATA"], "scifact")
    return args


def main() -> int:
    args = arguments()
    print("| dtype | nDCG@10 | recall@100 | MRR@10 | seconds |\n|---|---|---|---|---|")
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for dtype in args.dtypes:
            started = time.perf_counter()
            try:
                figures = evaluate(args.data, Embedder(args, dtype, Path(scratch)))
            except (Failed, OSError) as error:
                print(f"error: {dtype}: {error}", file=sys.stderr)
                return 1
            found[dtype] = figures[0]
            cells = " | ".join(f"{figure:.5f}" for figure in figures)
            print(f"| {dtype} | {cells} | {time.perf_counter() - started:.1f} |", flush=True)
    return 0 if within(found) else 1


if __name__ == "__main__":
    sys.exit(main())
