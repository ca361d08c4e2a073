#!/usr/bin/env python3
"""Measure what Chunkflow promises of segmentation, retrieval and chunking, and hold it to its rules.

Runs the tests that count cases, `chunkflow evaluate` over wiki50, QMSum and SciFact, and the benches
of one core whose rates have a rule. Prints a Markdown table; exits 1 where a figure misses its rule.
A figure without a rule stands beside one that has it. Half an hour on two cores.

    CHUNKFLOW_DATA=data figures.py --cargo cargo --chunkflow BINARY --model MODEL --core 0
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

KNOWN = ["--known-segments"]
KCPD = ["--preset", "topics"]
DEPTH = ["--method", "window", "--window", "5", "--score", "depth"]
LATE = ["--encoding", "late"]
LANGCHAIN = ["--baseline", "langchain"]

# Name and the percentage of Pk that wiki50 may have at most.
WIKI50 = [
    ("kcpd, number known", [*KCPD, *KNOWN], 36.0),
    ("kcpd, number known, late", [*KCPD, *KNOWN, *LATE], None),
    ("topics: kcpd, calibrated", KCPD, 38.5),
    ("topics, late", [*KCPD, *LATE], None),
    ("window depth w=5, number known", [*DEPTH, *KNOWN], 34.5),
    ("window depth w=5, number known, late", [*DEPTH, *KNOWN, *LATE], None),
    ("LangChain's percentile 95 on the same vectors", LANGCHAIN, None),
    ("no cut", ["--baseline", "none"], None),
]
# How many points lower topics must be than LangChain's rule.
QMSUM_GAIN = 5.0
NDCG = (0.643, 0.647)
# What the tests count: name, cargo's target, test.
CASES = [
    ("segeval on 2,000 pairs", "--lib", "measures_are_those_of_segeval"),
    (
        "exact DP against brute force, 5,000 cases",
        "--test=it", "no_segmentation_is_better_and_the_first_of_equal_ones_is_found",
    ),
    (
        "chunks of 10,000 random texts rejoin, none above max_tokens",
        "--test=it", "chunks_of_ten_thousand_random_texts_keep_every_promise",
    ),
]  # fmt: skip
NO_BENCH = "^$"


class Failed(Exception):
    """A command exited with an error or printed something else than expected."""


@dataclass(frozen=True)
class Figure:
    """A value and the least or the most that it may be."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    def holds(self) -> bool:
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    def row(self) -> str:
        rules = [
            f"{word} {limit:g}"
            for word, limit in (("at least", self.at_least), ("at most", self.at_most))
            if limit is not None
        ]
        verdict = ("yes" if self.holds() else "NO") if rules else ""
        return f"| {self.name} | {self.value:.4g}{self.unit} | {', '.join(rules)} | {verdict} |"


def output_of(command: list, environment: dict[str, str] | None = None) -> str:
    command = [str(part) for part in command]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | (environment or {})
    )
    if done.returncode != 0:
        raise Failed(f"{shlex.join(command)} exited with {done.returncode}")
    return done.stdout


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.DOTALL)
    if not found:
        raise Failed(f"no {pattern!r} in:\n{text}")
    return float(found[1].replace(",", ""))


def cases(args: argparse.Namespace) -> Iterator[Figure]:
    for name, target, test in CASES:
        printed = output_of([*args.cargo, "test", "--locked", "--quiet", target, "--", test])
        yield Figure(f"{name}: tests passed", number(r"(\d+) passed", printed), at_least=1)


class Evaluation:
    """`chunkflow evaluate` with the model, in f32."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args

    def means(self, task: str, folder: Path, flags: list[str]) -> dict[str, float]:
        about = "--gold" if task == "segmentation" else "--corpus"
        model = ["--model", self.args.model.resolve(), "--dtype", "f32"]
        command = [self.args.chunkflow.resolve(), "evaluate", task, about, folder.resolve()]
        printed = output_of([*command, *flags, *model, "--json", "--quiet"])
        metrics = json.loads(printed)[0]["metrics"]
        return {name: metric["mean"] for name, metric in metrics.items()} | {
            f"{name} sd": metric["sd"] for name, metric in metrics.items()
        }

    def pk(self, folder: Path, flags: list[str]) -> float:
        return 100 * self.means("segmentation", folder, flags)["pk"]


def segmentation(args: argparse.Namespace) -> Iterator[Figure]:
    evaluation = Evaluation(args)
    for name, flags, most in WIKI50:
        value = evaluation.pk(args.data / "wiki50", flags)
        yield Figure(f"wiki50, Pk: {name}", value, " %", at_most=most)
    with tempfile.TemporaryDirectory() as scratch:
        # The test meetings alone: those of validation chose a default.
        folder = Path(scratch, "qmsum-test")
        folder.mkdir()
        for path in sorted((args.data / "qmsum").glob("*.test.jsonl")):
            (folder / path.name).write_bytes(path.read_bytes())
        langchain = evaluation.pk(folder, LANGCHAIN)
        yield Figure("QMSum test, Pk: LangChain's percentile 95", langchain, " %")
        topics = evaluation.pk(folder, KCPD)
        most = langchain - QMSUM_GAIN
        yield Figure("QMSum test, Pk: topics", topics, " %", at_most=round(most, 2))
        late = evaluation.pk(folder, [*KCPD, *LATE])
        yield Figure("QMSum test, Pk: topics, late", late, " %")


def retrieval(args: argparse.Namespace) -> Iterator[Figure]:
    evaluation = Evaluation(args)
    runs = [
        ("whole documents", ["--whole"], NDCG),
        ("retrieval, late", ["--preset", "retrieval", *LATE], (None, None)),
        ("retrieval, isolated", ["--preset", "retrieval", "--encoding", "isolated"], (None, None)),
    ]
    for name, flags, (least, most) in runs:
        means = evaluation.means("retrieval", args.data / "scifact", flags)
        name = f"SciFact, nDCG@10: {name}"
        yield Figure(name, means["ndcg@10"], at_least=least, at_most=most)
        yield Figure(f"{name}: chunk tokens, mean", means["chunk_tokens"])
        yield Figure(f"{name}: chunk tokens, sd", means["chunk_tokens sd"])


def bench(args: argparse.Namespace, name: str, filter_: str) -> str:
    """What a bench prints, on one core."""
    command = [*args.cargo, "bench", "--locked", "--quiet", "--bench", name, "--", filter_]
    pinned = ["taskset", "--cpu-list", args.core, *command]
    return output_of(pinned, {"RAYON_NUM_THREADS": "1"})


def rates(args: argparse.Namespace) -> Iterator[Figure]:
    printed = bench(args, "similarity", "band/f32x64/1000000|scan/f32_1/1000000")
    band = number(r"band/f32x64/1000000.*?(\d+)% of f32", printed)
    yield Figure("band of 1,000,000 x 64: of the f32 ceiling", band, " %", at_least=60)
    memory = number(r"band/f32x64/1000000.*?memory: ([\d.]+) MiB", printed)
    yield Figure("band of 1,000,000 x 64: more memory", memory, " MiB", at_most=64)
    scan = number(r"scan/f32_1/1000000.*?(\d+)% of memory", printed)
    yield Figure("top-10 of 1,000,000 rows: of the DRAM bandwidth", scan, " %", at_least=85)
    printed = bench(args, "chunk", "chunk/segment_with_block_sums")
    milliseconds = number(r"time:\s+\[\S+ \S+ ([\d.]+) ms", printed)
    yield Figure("DP of 100,000 units, L = 64", milliseconds, " ms", at_most=50)
    printed = bench(args, "end_to_end", NO_BENCH)
    tokens = number(r"through the encoder \(([\d.]+) times\)", printed)
    yield Figure("1 MiB, late: tokens encoded over its own", tokens, at_most=1.10)
    time = number(r"as plain sequences [\d.]+ s \(([\d.]+) times\)", printed)
    yield Figure("1 MiB, late: time over plain sequences", time, at_most=1.20)


SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[Figure]]] = {
    "cases": cases,
    "segmentation": segmentation,
    "retrieval": retrieval,
    "rates": rates,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cargo", type=shlex.split, default=["cargo"], help="as in the Makefile")
    parser.add_argument("--chunkflow", type=Path, required=True, help="chunkflow binary")
    parser.add_argument("--model", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--core", default="0", help="core of the benches (default 0)")
    parser.add_argument("--only", choices=SECTIONS, help="one section")
    args = parser.parse_args()
    if "CHUNKFLOW_DATA" not in os.environ:
        parser.error("set CHUNKFLOW_DATA to the folder of wiki50/, qmsum/ and scifact/")
    args.data = Path(os.environ["CHUNKFLOW_DATA"])
    return args


def main() -> int:
    args = arguments()
    print("| figure | found | rule | holds |\n|---|---|---|---|", flush=True)
    held = True
    for section in [args.only] if args.only else SECTIONS:
        try:
            for figure in SECTIONS[section](args):
                print(figure.row(), flush=True)
                held &= figure.holds()
        except (Failed, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
