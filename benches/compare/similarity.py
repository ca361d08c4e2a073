#!/usr/bin/env python3
"""Compare chunkflow's similarities with numpy (OpenBLAS) and faiss, on one core, in one run.

The programs take turns, operation by operation and round by round, on seeded random unit vectors; a
ratio is the median of those inside rounds. Prints a Markdown table on stdout; exits 1 where a ratio
misses its rule. Runs in the peers' environment; see requirements.txt.

    cargo build --release --example compare_similarity
    similarity.py --program target/release/examples/compare_similarity --core 1
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

# Before numpy starts its library; what would choose other kernels is taken out.
os.environ["OMP_NUM_THREADS"] = "1"
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import faiss  # noqa: E402
import numpy as np  # noqa: E402

DIM = 384
K = 10
# Rows of numpy's blocks: scores of a block stay in the cache for the selection.
BLOCK = 1024
# The least ratio of a peer's time to ours.
RULES = {
    ("pairwise", "numpy"): 1.5,
    ("top_k", "numpy, blocked"): 1.8,
    ("top_k", "faiss IndexFlatIP"): 4.0,
}


def unit_vectors(count: int) -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((count, DIM), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Ours:
    """The example program on one file of rows."""

    def __init__(self, program: Path, rows: np.ndarray, folder: Path) -> None:
        file = folder / f"{rows.dtype.name}-{len(rows)}.npy"
        np.save(file, rows)
        environment = os.environ | {"RAYON_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def seconds(self, name: str, number: int = 0) -> float:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{name} {number}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"chunkflow exited with {self.process.wait()}")
        return json.loads(answer)["seconds"]


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def best_of_block(scores: np.ndarray) -> np.ndarray:
    kept = np.argpartition(scores, scores.shape[1] - K, axis=1)[:, -K:]
    order = np.argsort(-np.take_along_axis(scores, kept, axis=1), axis=1)
    return np.take_along_axis(kept, order, axis=1)


def blocked_top_k(rows: np.ndarray) -> np.ndarray:
    parts = (rows[first : first + BLOCK] @ rows.T for first in range(0, len(rows), BLOCK))
    return np.concatenate([best_of_block(part) for part in parts])


def flat(rows: np.ndarray) -> faiss.Index:
    index = faiss.IndexFlatIP(DIM)
    index.add(rows)
    return index


def scalar_quantised(rows: np.ndarray) -> faiss.Index:
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexScalarQuantizer(DIM, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(rows[:10_000])
    index.add(rows)
    return index


def binary(bits: np.ndarray) -> faiss.IndexBinary:
    index = faiss.IndexBinaryFlat(DIM)
    index.add(bits)
    return index


Contest = tuple[str, Callable[[], float], dict[str, Callable[[], float]]]


def matrix_contests(program: Path, count: int, folder: Path) -> list[Contest]:
    rows = unit_vectors(count)
    ours, index = Ours(program, rows, folder), flat(rows)
    output = np.ones((count, count), np.float32)
    return [
        (
            "pairwise", lambda: ours.seconds("pairwise"),
            {"numpy": lambda: timed(lambda: np.matmul(rows, rows.T, out=output))},
        ),
        (
            "top_k", lambda: ours.seconds("top_k", K),
            {
                "numpy, blocked": lambda: timed(lambda: blocked_top_k(rows)),
                "faiss IndexFlatIP": lambda: timed(lambda: index.search(rows, K)),
            },
        ),
    ]


def scan_contests(program: Path, count: int, folder: Path) -> list[Contest]:
    rows = unit_vectors(count)
    bytes_ = np.rint(127 * rows).astype(np.int8)
    bits = np.packbits(rows > 0, axis=1)
    ours = {
        name: Ours(program, stored, folder)
        for name, stored in (
            ("f32", rows), ("f16", rows.astype(np.float16)), ("int8", bytes_), ("binary", bits)
        )
    }
    index, quantised, signs = flat(rows), scalar_quantised(rows), binary(bits)

    def numpy_scan() -> np.ndarray:
        return best_of_block((rows @ rows[0])[None])

    peers = {
        "f32": {
            "numpy": lambda: timed(numpy_scan),
            "faiss IndexFlatIP": lambda: timed(lambda: index.search(rows[:1], K)),
        },
        "f16": {},
        "int8": {"faiss SQ8": lambda: timed(lambda: quantised.search(rows[:1], K))},
        "binary": {"faiss IndexBinaryFlat": lambda: timed(lambda: signs.search(bits[:1], K))},
    }
    return [
        (f"scan {name}", lambda program=program: program.seconds("scan", K), peers[name])
        for name, program in ours.items()
    ]


def compete(contest: Contest, rounds: int) -> tuple[list[str], bool]:
    """Rows of the table, and whether all rules are kept."""
    name, ours, peers = contest
    own, times = [], {peer: [] for peer in peers}
    # The first round warms up.
    for _ in range(rounds + 1):
        own.append(ours())
        for peer, run in peers.items():
            times[peer].append(run())
    mine = f"{1e3 * median(own[1:]):.1f}"
    if not peers:
        return [f"| {name} | {mine} | | | | |"], True
    lines, is_kept = [], True
    for peer, seconds in times.items():
        ratio = median(theirs / its for theirs, its in zip(seconds[1:], own[1:], strict=True))
        rule = RULES.get((name, peer))
        is_kept &= rule is None or ratio >= rule
        wanted = "" if rule is None else f"at least {rule}"
        theirs = f"{1e3 * median(seconds[1:]):.1f}"
        lines.append(f"| {name} | {mine} | {peer} | {theirs} | {ratio:.2f} | {wanted} |")
    return lines, is_kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rows", type=int, default=16_384, help="of matrices")
    parser.add_argument("--corpus", type=int, default=1_000_000, help="rows of scans")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})
    faiss.omp_set_num_threads(1)
    print(f"{args.rows} rows of {DIM} with themselves, scans of one query over {args.corpus}; top {K}")
    print()
    print("| operation | chunkflow, ms | peer | peer, ms | ratio | rule |")
    print("|---|---|---|---|---|---|")
    is_kept = True
    with tempfile.TemporaryDirectory() as folder:
        for make, count in ((matrix_contests, args.rows), (scan_contests, args.corpus)):
            for contest in make(args.program.resolve(), count, Path(folder)):
                lines, is_good = compete(contest, args.rounds)
                print("\n".join(lines), flush=True)
                is_kept &= is_good
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
