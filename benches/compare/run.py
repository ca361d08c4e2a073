#!/usr/bin/env python3
"""Compare chunkflow with candle-transformers on one load, in one run, on one core.

The programs take turns, one process each per round, so that a change of the machine's speed meets
both. The claim rests on the ratio inside a round; the absolute figures move with the machine.
Prints a Markdown table on stdout; exits 1 if a program fails or both did not embed the same tokens.

    run.py --model MODEL --input w1.jsonl --chunkflow BINARY --candle BINARY --out compare.json
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from statistics import median

CANDLE_LOCK = Path(__file__).parent / "candle" / "Cargo.lock"
# candle and rayon read these, and one thread is what the claim is about.
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "CANDLE_NUM_THREADS": "1"}
# Below this, the pinned core did other work meanwhile and wall-clock figures are too low. Rounds
# like that can flatter either program, as the two run for different times.
QUIET_CPU_SHARE = 0.95
TOKEN_TOLERANCE = 0.005


class ProgramFailed(Exception):
    """A program ended badly or printed no report."""


def commands(args: argparse.Namespace) -> dict[str, list[str]]:
    load = ["--model", args.model, "--input", args.input, "--field", "text"]
    return {
        "chunkflow": [args.chunkflow, "bench", *load, "--threads", "1", "--json"],
        "candle": [args.candle, *load, "--batch", "32", "--repeat", str(args.passes), "--json"],
    }


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, command: list[str], cpu: int) -> dict:
    """Run one process pinned to `cpu`; its report, and what share of the core it had."""
    pinned = ["taskset", "-c", str(cpu), *command]
    environment = os.environ | ONE_THREAD
    used, started = cpu_seconds(), time.perf_counter()
    try:
        done = subprocess.run(pinned, env=environment, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise ProgramFailed(f"{name}: {error}") from error
    wall = time.perf_counter() - started
    if done.returncode != 0:
        raise ProgramFailed(f"{name} exited with {done.returncode}")
    try:
        report = json.loads(done.stdout)
        report["tokens_per_text"] = report["tokens_per_second"] / report["texts_per_second"]
        report["peak_rss_mib"] = float(report["peak_rss_mib"])
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise ProgramFailed(f"{name} printed no usable report: {error!r}") from error
    return report | {"wall_s": wall, "cpu_share": (cpu_seconds() - used) / wall}


def run_rounds(programs: dict[str, list[str]], cpu: int, rounds: int) -> list[dict[str, dict]]:
    results = []
    for number in range(1, rounds + 1):
        results.append({name: measure(name, line, cpu) for name, line in programs.items()})
        speeds = (f"{name} {r['texts_per_second']:.2f}" for name, r in results[-1].items())
        print(f"round {number} of {rounds}: {', '.join(speeds)} texts/s", file=sys.stderr)
    return results


def ratios(rounds: list[dict[str, dict]], speed: Callable[[dict], float]) -> list[float]:
    return [speed(round_["chunkflow"]) / speed(round_["candle"]) for round_ in rounds]


def per_wall_second(report: dict) -> float:
    return report["texts_per_second"]


def per_cpu_second(report: dict) -> float:
    """What an otherwise idle core would have given, about: the share is that of the process."""
    return report["texts_per_second"] / report["cpu_share"]


def ratio_line(label: str, values: list[float]) -> str:
    each = ", ".join(f"{value:.2f}" for value in values)
    span = f"{min(values):.2f}..{max(values):.2f}"
    return f"chunkflow / candle {label}: median {median(values):.2f}, {span} (by round: {each})"


def table(rounds: list[dict[str, dict]]) -> str:
    lines = [
        "| program | median texts/s | min..max | peak RSS MiB | least share of the core |",
        "|---|---|---|---|---|",
    ]
    for name in rounds[0]:
        reports = [round_[name] for round_ in rounds]
        speeds = [per_wall_second(report) for report in reports]
        peak = max(report["peak_rss_mib"] for report in reports)
        share = min(report["cpu_share"] for report in reports)
        span = f"{min(speeds):.2f}..{max(speeds):.2f}"
        lines.append(f"| {name} | {median(speeds):.2f} | {span} | {peak:.0f} | {share:.0%} |")
    return "\n".join([
        *lines,
        "",
        ratio_line("by wall clock", ratios(rounds, per_wall_second)),
        ratio_line("by processor time", ratios(rounds, per_cpu_second)),
    ])


def disturbed(rounds: list[dict[str, dict]]) -> list[str]:
    return [
        f"round {number}: {name} had only {report['cpu_share']:.0%} of its core"
        for number, round_ in enumerate(rounds, 1)
        for name, report in round_.items()
        if report["cpu_share"] < QUIET_CPU_SHARE
    ]


def did_the_same_work(rounds: list[dict[str, dict]]) -> bool:
    """Whether both counted the same tokens per text: a program that truncates more looks faster."""
    counts = [report["tokens_per_text"] for round_ in rounds for report in round_.values()]
    return max(counts) <= min(counts) * (1 + TOKEN_TOLERANCE)


def machine() -> dict:
    """The machine and the candle that the figures belong to."""
    info = Path("/proc/cpuinfo").read_text()
    models = (line.split(":", 1)[1].strip() for line in info.splitlines() if "model name" in line)
    packages = tomllib.loads(CANDLE_LOCK.read_text())["package"]
    versions = {package["name"]: package["version"] for package in packages}
    return {
        "cpu": next(models, platform.machine()),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "candle": versions["candle-transformers"],
        "gemm": versions["gemm"],
    }


def allocator_settings() -> dict[str, str]:
    """glibc's settings: candle's speed hangs on them, as it maps fresh memory for each result."""
    return {k: v for k, v in os.environ.items() if k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--input", required=True, help="load made by make_w1.py")
    parser.add_argument("--chunkflow", required=True, help="chunkflow binary")
    parser.add_argument("--candle", required=True, help="compare-candle binary")
    parser.add_argument("--cpu", type=int, default=0, help="core both are pinned to (default 0)")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each (default 5)")
    parser.add_argument("--out", type=Path, help="write every figure and the machine as JSON")
    parser.add_argument("--passes", type=int, default=3, help="candle's per process (default 3)")
    args = parser.parse_args()
    if min(args.rounds, args.passes) < 1:
        parser.error("--rounds and --passes must be at least 1")
    return args


def main() -> int:
    args = arguments()
    try:
        rounds = run_rounds(commands(args), args.cpu, args.rounds)
    except ProgramFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    about = machine()
    print(f"{about['cpu']}, one of {about['cores']} cores, one thread; candle {about['candle']}")
    print(f"\n{table(rounds)}")
    noise = disturbed(rounds)
    if noise:
        print("\nNot a quiet core: quote the ratio by processor time, or run again.")
    for line in noise:
        print(f"warning: {line}", file=sys.stderr)
    if args.out:
        record = {
            "machine": about,
            "allocator": allocator_settings(),
            "input_sha256": hashlib.sha256(Path(args.input).read_bytes()).hexdigest(),
            "ratios_wall": ratios(rounds, per_wall_second),
            "ratios_cpu": ratios(rounds, per_cpu_second),
            "rounds": rounds,
        }
        args.out.write_text(json.dumps(record, indent=2) + "\n")
    if not did_the_same_work(rounds):
        print("error: the programs did not embed the same number of tokens", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
