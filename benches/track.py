#!/usr/bin/env python3
"""Runs criterion benches, keeps their results by commit and machine, and prints what moved.

Appends one JSON line a run to the history: commit, date, processor, cores, instruction set, and
for each bench that ran the median time of an iteration with the ends of its confidence interval, in
nanoseconds. Each bench is held against its last result on the same processor with as many cores; it
moved when the intervals do not overlap and the medians are more than 3% apart. What moved is told,
not judged: the exit code is 0. It is 1 when a bench fails or leaves no results.

    track.py --cargo cargo --benches ops,encode
"""

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The least change of a median that is told, in parts of the earlier one.
LEAST_CHANGE = 0.03

# Median, lower and upper end of its confidence interval, in nanoseconds, by bench.
Results = dict[str, list[float]]


class Failed(Exception):
    """A bench did not run, or what was kept cannot be read."""


def processor() -> str:
    """The processor's model as the kernel names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def cores() -> int:
    """Those that this process may run on, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"git describe exited with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def names(benches: str) -> list[str]:
    """The benches asked for, by name."""
    known = sorted(path.stem for path in (ROOT / "benches").glob("*.rs"))
    if benches == "all":
        return known
    asked = benches.replace(",", " ").split()
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        raise Failed(f"no bench {unknown or benches!r}, expected all or some of {known}")
    return asked


def run(cargo: str, benches: list[str]) -> str | None:
    """Runs the benches in sight of the user; gives the instruction set if one of them names it."""
    chosen = [flag for name in benches for flag in ("--bench", name)]
    command = [*shlex.split(cargo), "bench", "--locked", *chosen]
    isa = None
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or []:
            print(line, end="", flush=True)
            found = re.match(r"isa ([\w-]+);", line)
            isa = found[1] if found else isa
    if process.returncode != 0:
        raise Failed(f"{shlex.join(command)} exited with {process.returncode}")
    return isa


def read_results(target: Path, since: float) -> Results:
    """What criterion wrote from `since`, in seconds, onwards."""
    results: Results = {}
    for path in target.glob("criterion/**/new/estimates.json"):
        if path.stat().st_mtime < since:
            continue
        median = json.loads(path.read_text(encoding="utf-8"))["median"]
        bench = json.loads(path.with_name("benchmark.json").read_text(encoding="utf-8"))["full_id"]
        interval = median["confidence_interval"]
        figures = median["point_estimate"], interval["lower_bound"], interval["upper_bound"]
        results[bench] = [round(figure, 1) for figure in figures]
    if not results:
        raise Failed(f"no new estimates.json in {target / 'criterion'}")
    return dict(sorted(results.items()))


def read_history(path: Path) -> list[dict]:
    if not path.exists():
        return []
    runs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            runs.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise Failed(f"{path}:{number} is no JSON: {error}") from error
    return runs


def last_results(history: list[dict], run: dict) -> dict[str, tuple[str, list[float]]]:
    """The latest commit and figures of each bench on the machine of `run`."""
    last = {}
    for earlier in history:
        if all(earlier[key] == run[key] for key in ("cpu", "cores")):
            for name, figures in earlier["benches"].items():
                last[name] = earlier["commit"], figures
    return last


def moved(before: list[float], after: list[float]) -> float | None:
    """The change in parts of the median before, if it is more than the noise."""
    overlap = before[1] <= after[2] and after[1] <= before[2]
    change = after[0] / before[0] - 1
    return None if overlap or abs(change) <= LEAST_CHANGE else change


def report(last: dict[str, tuple[str, list[float]]], results: Results) -> None:
    """Prints what moved, the largest slowdown first."""
    compared = [name for name in results if name in last]
    changes = {name: moved(last[name][1], results[name]) for name in compared}
    told = [(change, name) for name, change in changes.items() if change is not None]
    for change, name in sorted(told, reverse=True):
        earlier, (before, *_) = last[name]
        what = "slower" if change > 0 else "faster"
        times = f"{before / 1e3:.1f} -> {results[name][0] / 1e3:.1f} us"
        print(f"{change:+7.1%} {what}  {name}  {times}  since {earlier}")
    fresh = len(results) - len(compared)
    print(f"{len(told)} of {len(compared)} benches moved; {fresh} have no earlier result here")


def track(args: argparse.Namespace) -> None:
    history = read_history(args.history)
    # Read first: what is edited meanwhile is not what ran.
    at, start = commit(), time.time()
    isa = run(args.cargo, names(args.benches))
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    entry = {"commit": at, "date": date, "cpu": processor(), "cores": cores(), "isa": isa}
    entry["benches"] = read_results(target, start)
    with args.history.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry) + "\n")
    report(last_results(history, entry), entry["benches"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cargo", default="cargo", help="how to call cargo")
    parser.add_argument("--benches", default="ops", help="names of benches, or all")
    parser.add_argument("--history", type=Path, default=ROOT / "benches/history.jsonl")
    try:
        track(parser.parse_args())
    except (Failed, OSError) as error:
        print(f"track.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
