#!/usr/bin/env python3
"""One peer as a process that measures on demand, so that programs can take turns.

It says {} when its model is loaded. Then each line on stdin is a load's name; the answer is one line
of JSON. The first time a load is named,
the peer warms up on a part of it and picks its best batch size there; then, and each time after, it
embeds the load once, from text to normalised vector: W4 text by text (p50_ms), the others in
batches (texts_per_second). "vectors FILE" writes W1's vectors as npy.

    peer.py --peer ort-f32 --model MODEL --prepared target/peers/minilm-prepared --loads target/peers/loads
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

import engines

BATCHES = (16, 8, 32, 4)
TRIAL_TEXTS = 64
# No further batch size is tried once the trials have taken this long.
TRIAL_SECONDS = 15.0
SINGLE_WARM_UP = 20


class Worker:
    """An engine, and each load with the batch size found for it."""

    def __init__(self, engine: engines.Batched | engines.SentenceTransformers, loads: Path) -> None:
        self.engine = engine
        self.loads = loads
        self.known: dict[str, tuple[list[str], int]] = {}

    def load(self, name: str) -> tuple[list[str], int]:
        if name not in self.known:
            lines = (self.loads / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
            texts = [json.loads(line)["text"] for line in lines]
            self.known[name] = texts, self.best_batch(name, texts)
        return self.known[name]

    def best_batch(self, name: str, texts: list[str]) -> int:
        """The fastest batch size over the load's texts of middle length."""
        if name == "W4":
            self.passes(texts[:SINGLE_WARM_UP])
            return 1
        start = max(0, len(texts) - TRIAL_TEXTS) // 2
        middle = sorted(texts, key=len)[start : start + TRIAL_TEXTS]
        self.seconds(middle[: BATCHES[0]], BATCHES[0])
        trials: dict[int, float] = {}
        for size in BATCHES:
            if sum(trials.values()) < TRIAL_SECONDS:
                trials[size] = self.seconds(middle, size)
        return min(trials, key=trials.__getitem__)

    def seconds(self, texts: list[str], size: int) -> float:
        started = time.perf_counter()
        self.engine.embed(texts, size)
        return time.perf_counter() - started

    def passes(self, texts: list[str]) -> list[float]:
        return [self.seconds([text], 1) for text in texts]

    def measure(self, name: str) -> dict:
        texts, size = self.load(name)
        used = time.process_time()
        if name == "W4":
            seconds = self.passes(texts)
            figures = {"p50_ms": 1e3 * median(seconds)}
            total = sum(seconds)
        else:
            total = self.seconds(texts, size)
            figures = {"texts_per_second": len(texts) / total}
        share = (time.process_time() - used) / total
        return figures | {"batch": size, "cpu_share": share, "peak_rss_mib": peak_rss_mib()}

    def obey(self, line: str) -> dict:
        command, _, path = line.partition(" ")
        if command != "vectors":
            return self.measure(command)
        np.save(path, self.engine.embed(*self.load("W1")))
        return {}


def peak_rss_mib() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    kib = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    return int(kib) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, choices=engines.ENGINES)
    parser.add_argument("--model", type=Path, required=True, help="folder in the hub's layout")
    parser.add_argument("--prepared", type=Path, required=True, help="what prepare.py made of it")
    parser.add_argument("--loads", type=Path, required=True, help="what make_loads.py made")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    engine = engines.make(args.peer, args.model, args.prepared, args.threads)
    worker = Worker(engine, args.loads)
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.obey(line.strip())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
