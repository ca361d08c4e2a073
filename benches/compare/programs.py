"""What takes part in a comparison: peers, chunkflow and candle, each pinned to the same cores.

A program answers `measure(load)` with a report that has texts_per_second or p50_ms, peak_rss_mib
and cpu_share, the share of its cores that it had.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Settings of this machine's own numerical libraries are none of the peers'.
FOREIGN = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class ProgramFailed(Exception):
    """A program ended badly or printed no report."""


@dataclass(frozen=True)
class Cores:
    """Where every program of a comparison runs."""

    cores: tuple[int, ...]

    def pinned(self, *command: str | Path) -> list[str]:
        cores = ",".join(map(str, self.cores))
        return ["taskset", "-c", cores, *map(str, command)]

    def environment(self) -> dict[str, str]:
        """For every program the same: as many threads as cores, no network."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "CANDLE_NUM_THREADS")
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        several = "true" if len(self.cores) > 1 else "false"
        fixed = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": several}
        return kept | dict.fromkeys(names, str(len(self.cores))) | fixed


@dataclass(frozen=True)
class Setting(Cores):
    """What is compared on: cores, a model and loads."""

    model: Path
    prepared: Path
    loads: Path


class Resident:
    """A script beside this one that stays in memory between its turns; a line in, JSON out."""

    def __init__(
        self, name: str, cores: Cores, log: Path, script: str, *arguments: str | Path
    ) -> None:
        self.name = name
        self.log = log
        command = cores.pinned(sys.executable, Path(__file__).with_name(script), *arguments)
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command, env=cores.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True,
            )

        # What starts up would disturb the others' turns.
        self.answer()

    def answer(self) -> dict:
        try:
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError) as error:
            raise ProgramFailed(f"{self.name} gave no answer, see {self.log}") from error

    def ask(self, line: str) -> dict:
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise ProgramFailed(f"{self.name} takes no requests, see {self.log}") from error
        return self.answer()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Peer(Resident):
    """A peer.py."""

    def __init__(self, name: str, setting: Setting, log: Path) -> None:
        super().__init__(
            name, setting, log, "peer.py", "--peer", name, "--model", setting.model,
            "--prepared", setting.prepared, "--loads", setting.loads,
            "--threads", str(len(setting.cores)),
        )

    def measure(self, load: str) -> dict:
        return self.ask(load)

    def vectors(self, out: Path) -> None:
        self.ask(f"vectors {out}")


def report_of(name: str, command: list[str], environment: dict[str, str]) -> dict:
    """What a process prints as JSON, and the share that it had of one core."""
    used, started = children_seconds(), time.perf_counter()
    try:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise ProgramFailed(f"{name}: {error}") from error
    wall = time.perf_counter() - started
    if done.returncode != 0:
        raise ProgramFailed(f"{name} exited with {done.returncode}")
    try:
        return json.loads(done.stdout) | {"cpu_share": (children_seconds() - used) / wall}
    except ValueError as error:
        raise ProgramFailed(f"{name} printed no report: {error}") from error


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Chunkflow:
    """`chunkflow bench`, a new process each time, which warms up by itself."""

    def __init__(self, binary: Path, dtype: str, setting: Setting) -> None:
        self.name = f"chunkflow-{dtype}"
        self.binary = binary
        self.setting = setting
        threads = str(len(setting.cores))
        self.model = ("--model", setting.model, "--dtype", dtype, "--threads", threads)

    def measure(self, load: str) -> dict:
        texts = ("--input", self.setting.loads / f"{load}.jsonl", "--field", "text")
        # One pass, as a peer's turn.
        command = (self.binary, "bench", *self.model, *texts, "--repeat", "1", "--json")
        report = report_of(self.name, self.setting.pinned(*command), self.setting.environment())
        return {k: v for k, v in report.items() if load == "W4" or k != "p50_ms"}

    def vectors(self, out: Path) -> None:
        texts = (self.setting.loads / "W1.jsonl", "--field", "text", "--output", out, "--force")
        command = self.setting.pinned(self.binary, "embed", *self.model, *texts)
        if subprocess.run(command, env=self.setting.environment()).returncode != 0:
            raise ProgramFailed(f"{self.name} made no vectors")

    def cold_start_ms(self) -> float:
        """From the start of the process to its first vector."""
        command = self.setting.pinned(self.binary, "embed", *self.model)
        started = time.perf_counter()
        with subprocess.Popen(
            command, env=self.setting.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            process.stdin.write(b"hello\n")
            process.stdin.close()
            line = process.stdout.readline()
            elapsed = time.perf_counter() - started
        if process.returncode != 0 or not line:
            raise ProgramFailed(f"{self.name} embedded no text from standard input")
        return 1e3 * elapsed

    def close(self) -> None:
        """Nothing runs between turns."""


class Candle:
    """The program of candle/, a new process each time: no single calls, batches in input order."""

    name = "candle-f32"

    def __init__(self, binary: Path, setting: Setting) -> None:
        self.binary = binary
        self.setting = setting

    def measure(self, load: str) -> dict | None:
        if load == "W4":
            return None
        texts = self.setting.loads / f"{load}.jsonl"
        command = self.setting.pinned(
            self.binary, "--model", self.setting.model, "--input", texts, "--field", "text",
            "--batch", "32", "--repeat", "1", "--json",
        )
        return report_of(self.name, command, self.setting.environment())

    def close(self) -> None:
        """Nothing runs between turns."""
