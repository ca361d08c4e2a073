#!/usr/bin/env python3
"""Compare `chunkflow chunk --vectors` with chonkie's and LangChain's semantic chunkers.

One document of 1 MB (Wikipedia articles of wiki50 and abstracts of SciFact in turn) becomes chunks
with vectors: in one run, pinned to the same cores, chunkflow before each turn of a peer. The claim
rests on the ratio to that turn; absolute figures move with the machine. chunkflow is a process,
timed from start to end, less the time of a tiny document, which is its start-up; peers are warm.
Prints Markdown on stdout; exits 1 if a program fails. Runs in the peers' environment; see
chunkers-requirements.txt. About a quarter of an hour a round on one core.

    CHUNKFLOW_DATA=data chunkers.py --model MODEL --chunkflow BINARY --out chunkers.json
"""

import argparse
import datetime
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median, stdev

from tokenizers import Tokenizer

import report
from programs import Cores, ProgramFailed, Resident, children_seconds

PACKAGES = (
    "chonkie", "langchain-experimental", "torch", "sentence-transformers", "transformers", "numpy",
)
PEERS = ("chonkie", "langchain")
# So many times faster chunkflow aims to be than each.
TARGET = 8.0
DOCUMENT_BYTES = 1_000_000
TINY = "This is a sentence.\n"
START_UPS = 5
SEGMENT_MARK = "=========="
BETWEEN = "\n\n"


def document(data: Path, size: int) -> str:
    """Articles and abstracts, of each about as much, until they are `size` bytes or more."""
    pieces: list[str] = []
    filled = 0
    for piece in in_turn(data):
        pieces.append(piece)
        filled += len(piece.encode()) + len(BETWEEN)
        if filled >= size:
            break
    return BETWEEN.join(pieces) + "\n"


def in_turn(data: Path) -> Iterator[str]:
    """An article, then abstracts until they are as long as the articles; at last the others."""
    abstracts = iter(scifact_abstracts(data / "scifact" / "corpus.jsonl"))
    ahead = 0
    for path in sorted((data / "wiki50").glob("*.ref")):
        article = wiki_article(path)
        yield article
        ahead += len(article)
        while ahead > 0 and (abstract := next(abstracts, None)):
            yield abstract
            ahead -= len(abstract)
    yield from abstracts


def wiki_article(path: Path) -> str:
    """A paragraph a segment."""
    segments = path.read_text(encoding="utf-8").split(SEGMENT_MARK)
    return BETWEEN.join(" ".join(s.split("\n")).strip() for s in segments if s.strip())


def scifact_abstracts(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return [f'# {d["title"]}\n\n{d["text"]}' for d in documents]


class Chunkflow:
    """`chunkflow chunk`, a new process each time."""

    def __init__(self, args: argparse.Namespace, cores: Cores, path: Path) -> None:
        self.name = f"chunkflow-{args.dtype}"
        self.cores = cores
        self.path = path
        self.tiny = path.with_name("tiny.md")
        self.tiny.write_text(TINY, encoding="utf-8")
        self.out = path.with_name("chunks.jsonl")
        self.command = [
            args.chunkflow.resolve(), "chunk", "--quiet", "--vectors", *shlex.split(args.flags),
            "--model", args.model.resolve(), "--dtype", args.dtype,
            "--threads", str(len(cores.cores)), "--force", "--output", self.out,
        ]
        self.run(path)
        tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
        tokenizer.no_truncation()
        self.tokens = len(tokenizer.encode(path.read_text(encoding="utf-8")))

    def run(self, path: Path) -> tuple[float, float]:
        """Seconds by the clock and of the processor."""
        command = self.cores.pinned(*self.command, path)
        used, started = children_seconds(), time.perf_counter()
        if subprocess.run(command, env=self.cores.environment()).returncode != 0:
            raise ProgramFailed(f"{self.name} made no chunks")
        return time.perf_counter() - started, children_seconds() - used

    def measure(self) -> dict:
        tiny = [self.run(self.tiny) for _ in range(START_UPS)]
        start_up, start_up_cpu = (median(column) for column in zip(*tiny, strict=True))
        wall, cpu = self.run(self.path)
        with self.out.open(encoding="utf-8") as lines:
            chunk_tokens = [json.loads(line)["tokens"] for line in lines]
        return {
            "seconds": wall - start_up,
            "start_up_seconds": start_up,
            "cpu_seconds": cpu - start_up_cpu,
            "tokens": self.tokens,
            "chunk_tokens": chunk_tokens,
        }


class Peer(Resident):
    """A chunker_peer.py."""

    def __init__(self, name: str, args: argparse.Namespace, cores: Cores, path: Path) -> None:
        super().__init__(
            name, cores, args.work / f"{name}.txt", "chunker_peer.py", "--chunker", name,
            "--model", args.model.resolve(), "--document", path.resolve(),
            "--threads", str(len(cores.cores)),
        )

    def measure(self) -> dict:
        return self.ask("chunk")


def take_turns(args: argparse.Namespace, cores: Cores, path: Path) -> list[dict]:
    """A record of each turn; those of chunkflow and of the peer after it have the same number."""
    ours = Chunkflow(args, cores, path)
    peers = [Peer(name, args, cores, path) for name in args.peers]
    records: list[dict] = []
    try:
        for turn in range(args.rounds * len(peers)):
            for program in (ours, peers[turn % len(peers)]):
                about = {"turn": turn, "program": program.name, "cores": len(cores.cores)}
                figures = program.measure()
                share = {"cpu_share": figures["cpu_seconds"] / figures["seconds"]}
                records.append(about | figures | share)
                progress(records[-1])
    finally:
        for peer in peers:
            peer.close()
    return records


def progress(record: dict) -> None:
    print(f"{record['program']}: {record['seconds']:.2f} s by the clock, "
          f"{record['cpu_seconds']:.2f} s of the processor", file=sys.stderr)


def markdown(result: dict) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    records = result["records"]
    ours = [record for record in records if record["program"].startswith("chunkflow")]
    groups = [ours] + [[r for r in records if r["program"] == peer] for peer in result["peers"]]
    return "\n".join([
        "# Chunking with vectors beside the peers",
        "",
        f"{machine['cpu']}, {result['cores']} core(s), Linux {machine['kernel']}, "
        f"{result['date']}; {versions}.",
        "",
        f"    {result['command']}",
        "",
        f"One document of {result['bytes']} bytes; medians of {result['rounds']} round(s). Tokens "
        "encoded: with special tokens, without padding; chunkflow's are the document's, to which "
        "overlaps of its windows come. Start-up of chunkflow, taken off: "
        f"{median(r['start_up_seconds'] for r in ours):.3f} s. Ratio: the peer's seconds by those "
        f"of chunkflow's turn before it, target {TARGET:.0f}.",
        "",
        "| program | seconds | processor seconds | of it chunking | chunks | tokens a chunk "
        "| tokens encoded | for chunking | ratio | by processor seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(row(group, ours) for group in groups),
        *report.disturbed(records),
    ])  # fmt: skip


def row(group: list[dict], ours: list[dict]) -> str:
    """A program's medians; what does not move is of its first turn."""
    first = group[0]
    before = {record["turn"]: record for record in ours}
    is_peer = group is not ours

    def middle(key: str) -> float:
        return median(record[key] for record in group)

    def ratio(key: str) -> str:
        return f"{median(r[key] / before[r['turn']][key] for r in group):.2f}" if is_peer else ""

    sizes = first["chunk_tokens"]
    spread = stdev(sizes) if len(sizes) > 1 else 0.0
    cells = (
        first["program"], f"{middle('seconds'):.2f}", f"{middle('cpu_seconds'):.2f}",
        f"{middle('chunking_seconds'):.2f} s" if is_peer else "", len(sizes),
        f"{mean(sizes):.0f} ± {spread:.0f}", first["tokens"], first.get("chunking_tokens", ""),
        ratio("seconds"), ratio("cpu_seconds"),
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def names(text: str) -> list[str]:
    return text.split(",")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("CHUNKFLOW_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None,
                        help="folder of scifact/ and wiki50/ [default: $CHUNKFLOW_DATA]")
    parser.add_argument("--model", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--chunkflow", type=Path, required=True, help="chunkflow binary")
    parser.add_argument("--flags", default="", help="more flags of `chunkflow chunk`, one string")
    parser.add_argument("--dtype", default="f32", help="of chunkflow (default f32, as the peers')")
    parser.add_argument("--work", type=Path, default=Path("target/peers"), help="scratch folder")
    parser.add_argument("--peers", type=names, default=list(PEERS), help="chonkie,langchain")
    parser.add_argument("--bytes", type=int, default=DOCUMENT_BYTES, help="size of the document")
    parser.add_argument("--cores", type=int, default=1, help="how many cores (default 1)")
    parser.add_argument("--cpu", type=int, default=0, help="the first core (default 0)")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each peer (default 1)")
    parser.add_argument("--out", type=Path, help="write every figure as JSON")
    args = parser.parse_args()
    if args.data is None:
        parser.error("give --data or set CHUNKFLOW_DATA")
    return args


def main() -> int:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / "document.md"
    try:
        text = document(args.data, args.bytes)
        path.write_text(text, encoding="utf-8", newline="\n")
        cores = Cores(tuple(range(args.cpu, args.cpu + args.cores)))
        records = take_turns(args, cores, path)
    except (ProgramFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    result = {
        "machine": report.machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "bytes": len(text.encode()),
        "cores": args.cores,
        "rounds": args.rounds,
        "peers": args.peers,
        "records": records,
    }
    print(markdown(result))
    if args.out:
        args.out.write_text(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
