#!/usr/bin/env python3
"""Compare chunkflow with its peers on the loads W1 to W4, in one run, on the same cores.

The programs take turns, load by load and round by round, so that a change of the machine's speed
meets all of them. The claim rests on the ratio inside a round; absolute figures move with the
machine. Prints Markdown on stdout; exits 1 if a program fails. Runs in the peers' environment; see
requirements.txt.

    run.py --data scifact --model MODEL --chunkflow BINARY --work target/peers --out compare.json
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

import report
from programs import Candle, Chunkflow, Peer, ProgramFailed, Setting

HERE = Path(__file__).parent
DTYPES = ("f32", "bf16", "int8")
# The rest of engines.py were never the best of their dtype: ONNX Runtime's fused graphs, torch bf16.
PEERS = (
    "torch-f32", "ort-f32", "openvino-f32", "ct2-f32", "openvino-bf16",
    "ort-int8", "ct2-int8", "openvino-int8", "openvino-int8-bf16",
)
LOADS = {"minilm": ("W1", "W2", "W3", "W4"), "bert-base": ("W1-quarter",)}
REFERENCE = "torch-f32"
COLD_STARTS = 10
# Threads of a peer may spin this long after its turn.
PAUSE_S = 0.3
TRIES = 3

Program = Peer | Chunkflow | Candle


def script(name: str, *arguments: str | Path) -> None:
    """Runs a script beside this one."""
    done = subprocess.run([sys.executable, HERE / name, *arguments], stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ProgramFailed(f"{name} exited with {done.returncode}")


def prepare(args: argparse.Namespace) -> None:
    """Loads, the random model and what the peers read, below the work folder."""
    loads = args.work / "loads"
    tokenizer = args.model / "tokenizer.json"
    script("make_loads.py", "--data", args.data, "--tokenizer", tokenizer, "--out", loads)
    if "bert-base" in args.models:
        script("make_bert_base.py", "--like", args.model, "--out", model_folder(args, "bert-base"))
    for name in args.models:
        print(f"preparing {name} for the peers", file=sys.stderr)
        script(
            "prepare.py", "--model", model_folder(args, name),
            "--calibration", loads / "calibration.jsonl", "--out", args.work / f"{name}-prepared",
        )


def model_folder(args: argparse.Namespace, name: str) -> Path:
    return args.model if name == "minilm" else args.work / name


def start(args: argparse.Namespace, setting: Setting) -> list[Program]:
    logs = args.work / "logs"
    logs.mkdir(exist_ok=True)
    programs: list[Program] = [Chunkflow(args.chunkflow, dtype, setting) for dtype in args.dtypes]
    if args.candle:
        programs.append(Candle(args.candle, setting))
    wanted = [peer for peer in args.peers if peer.split("-")[1] in args.dtypes or peer == REFERENCE]
    return programs + [Peer(peer, setting, logs / f"{peer}.txt") for peer in wanted]


def turn(program: Program, load: str, cores: int) -> dict | None:
    """A program's figures, taken again if it did not have its core; the speed plays no part."""
    for _ in range(TRIES):
        time.sleep(PAUSE_S)
        figures = program.measure(load)
        if figures is None or cores > 1 or figures["cpu_share"] >= report.QUIET_CPU_SHARE:
            break
    return figures


def measure(programs: list[Program], loads: list[str], rounds: int, about: dict) -> list[dict]:
    """A record for each program, load and round."""
    records = []
    for round_ in range(1, rounds + 1):
        for load in loads:
            for program in programs:
                figures = turn(program, load, about["cores"])
                if figures is None:
                    continue
                where = about | {"load": load, "program": program.name, "round": round_}
                records.append(figures | where)
                print(report.progress(records[-1]), file=sys.stderr)
    return records


def agreement(programs: list[Program], folder: Path) -> dict[str, dict[str, float]]:
    """Cosines of W1's vectors to the reference's, by program."""
    vectors = {}
    for program in programs:
        if not isinstance(program, Candle):
            path = folder / f"{program.name}.npy"
            program.vectors(path)
            vectors[program.name] = np.load(path)
    if REFERENCE not in vectors:
        return {}
    cosines = {name: (rows * vectors[REFERENCE]).sum(1) for name, rows in vectors.items()}
    return {name: {"mean": float(c.mean()), "min": float(c.min())} for name, c in cosines.items()}


def cold_starts(programs: list[Program]) -> dict[str, float]:
    """Median milliseconds from start to first vector, the weights being in the page cache."""
    ours = [program for program in programs if isinstance(program, Chunkflow)]
    return {p.name: median(p.cold_start_ms() for _ in range(COLD_STARTS)) for p in ours}


def compare(args: argparse.Namespace, name: str, cores: int) -> dict:
    """Everything of one model on so many cores."""
    setting = Setting(
        tuple(range(args.cpu, args.cpu + cores)), model_folder(args, name).resolve(),
        (args.work / f"{name}-prepared").resolve(), (args.work / "loads").resolve(),
    )
    about = {"model": name, "cores": cores}
    loads = [load for load in LOADS[name] if load.split("-")[0] in args.loads]
    programs = start(args, setting)
    try:
        records = measure(programs, loads, args.rounds, about)
        small = name == "minilm" and cores == 1
        cosines = agreement(programs, args.work.resolve() / "logs") if small else {}
        return {
            "records": records,
            "cosines": cosines,
            "cold_start_ms": [about | cold_starts(programs)] if name == "minilm" else [],
        }
    finally:
        for program in programs:
            program.close()


def names(text: str) -> list[str]:
    return text.split(",")


def counts(text: str) -> list[int]:
    return [int(count) for count in names(text)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("CHUNKFLOW_DATA")
    parser.add_argument("--data", type=Path, default=Path(data, "scifact") if data else None,
                        help="folder of BEIR's SciFact [default: $CHUNKFLOW_DATA/scifact]")
    parser.add_argument("--model", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--chunkflow", type=Path, required=True, help="chunkflow binary")
    parser.add_argument("--candle", type=Path, help="compare-candle binary, to measure it too")
    parser.add_argument("--work", type=Path, default=Path("target/peers"), help="scratch folder")
    parser.add_argument("--models", type=names, default=list(LOADS), help="minilm, bert-base")
    parser.add_argument("--loads", type=names, default=list(LOADS["minilm"]), help="W1,...")
    parser.add_argument("--dtypes", type=names, default=list(DTYPES), help="f32,bf16,int8")
    parser.add_argument("--peers", type=names, default=list(PEERS), help="see engines.py")
    parser.add_argument("--cores", type=counts, default=[1, 2], help="how many cores: 1,2")
    parser.add_argument("--cpu", type=int, default=0, help="the first core (default 0)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    parser.add_argument("--out", type=Path, help="write every figure as JSON")
    parser.add_argument("--results", type=Path, help="write the Markdown here too")
    args = parser.parse_args()
    if args.data is None:
        parser.error("give --data or set CHUNKFLOW_DATA")
    if max(args.cores) > (os.cpu_count() or 1):
        parser.error(f"this machine has only {os.cpu_count()} cores")
    return args


def main() -> int:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    result = report.about(args.rounds)
    try:
        prepare(args)
        for name in args.models:
            for cores in args.cores:
                for key, value in compare(args, name, cores).items():
                    result[key] = result[key] | value if key == "cosines" else result[key] + value
    except ProgramFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = report.markdown(result)
    print(text)
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")
    if args.results:
        args.results.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
