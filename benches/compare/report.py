"""The Markdown of a comparison: ratios beside their targets, figures, and where they come from."""

import datetime
import os
import platform
import shlex
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from statistics import median

PACKAGES = (
    "torch", "sentence-transformers", "transformers", "onnxruntime", "openvino", "nncf",
    "ctranslate2", "tokenizers", "numpy",
)
FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
TITLES = {"minilm": "all-MiniLM-L6-v2", "bert-base": "BERT-base shape, random weights"}
# torch through sentence-transformers has rows of its own; candle is not among the best.
NOT_BEST_OF = {"torch-f32", "candle-f32"}
# Ratio that must hold and ratio aimed for, by model and dtype: throughput, then single calls.
TARGETS = {
    ("minilm", "f32"): ((1.08, 1.2), (1.4, 1.8)),
    ("minilm", "bf16"): ((1.15, 1.35), (1.6, 2.2)),
    ("minilm", "int8"): ((1.15, 1.5), (1.4, 2.0)),
    ("bert-base", "f32"): ((1.05, 1.15), None),
    ("bert-base", "bf16"): ((1.05, 1.25), None),
    ("bert-base", "int8"): ((1.05, 1.25), None),
}
TORCH_TARGETS = {"f32": (2.4, 2.8), "int8": (6.5, 9.0)}
# Below this share of its core, a program was disturbed and wall-clock figures are too low.
QUIET_CPU_SHARE = 0.95
METHOD = (
    "in which all programs took turns, pinned to the same cores. The ratio is taken inside each round; "
    "above 1 chunkflow is faster. Text to normalised vector, tokenisation included, model warm; each "
    "peer at its best batch size, texts sorted by length. Text: BEIR SciFact, see "
    "benches/compare/make_loads.py. torch: sentence-transformers; openvino-int8: NNCF's "
    "post-training quantisation, calibrated; ort-int8, ct2-int8: dynamic."
)


def machine() -> dict:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in info if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    return {
        "cpu": fields.get("model name", platform.machine()),
        "model": "/".join(fields.get(f, "?") for f in ("cpu family", "model", "stepping")),
        "features": [feature for feature in FEATURES if feature in flags],
        "cores": os.cpu_count(),
        "kernel": platform.release(),
    }


def about(rounds: int) -> dict:
    """What a result belongs to, with room for its figures."""
    return {
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "records": [],
        "cosines": {},
        "cold_start_ms": [],
    }


def dtype_of(program: str) -> str:
    return program.split("-")[1]


def speed(record: dict) -> float:
    """Higher is better: texts or calls per second."""
    return 1e3 / record["p50_ms"] if "p50_ms" in record else record["texts_per_second"]


def shown(record: dict) -> float:
    return record["p50_ms"] if "p50_ms" in record else record["texts_per_second"]


def progress(record: dict) -> str:
    unit = "ms" if "p50_ms" in record else "texts/s"
    batch = f", batch {record['batch']}" if "batch" in record else ""
    return (f"{record['model']}, {record['cores']} core(s), round {record['round']}, "
            f"{record['load']}: {record['program']} {shown(record):.2f} {unit}{batch}")


def spread(values: Iterable[float], digits: int) -> str:
    values = list(values)
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def unique(records: Iterable[dict], key: str) -> list:
    return list(dict.fromkeys(record[key] for record in records))


class Group:
    """The records of one model, number of cores and load, by program and in order of rounds."""

    def __init__(self, records: list[dict]) -> None:
        self.load = records[0]["load"]
        self.model = records[0]["model"]
        self.programs: dict[str, list[dict]] = {}
        for record in records:
            self.programs.setdefault(record["program"], []).append(record)

    def speeds(self, program: str) -> list[float]:
        return [speed(record) for record in self.programs[program]]

    def best_peer(self, dtype: str) -> str | None:
        ours = f"chunkflow-{dtype}"
        peers = [p for p in self.programs if dtype_of(p) == dtype and p not in NOT_BEST_OF | {ours}]
        return max(peers, key=lambda peer: median(self.speeds(peer)), default=None)

    def row(self, dtype: str, peer: str, targets: tuple[float, float] | None) -> str:
        pairs = zip(self.speeds(f"chunkflow-{dtype}"), self.speeds(peer), strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        digits = 2 if self.load == "W4" else 1
        ours, theirs = (
            spread(map(shown, self.programs[name]), digits) for name in (f"chunkflow-{dtype}", peer)
        )
        least, aim = targets or ("", "")
        cells = (self.load, dtype, ours, peer, theirs, spread(ratios, 2), least, aim)
        return f"| {' | '.join(map(str, cells))} |"

    def ratio_rows(self) -> list[str]:
        dtypes = [dtype_of(p) for p in self.programs if p.startswith("chunkflow-")]
        rows = []
        for dtype in dtypes:
            throughput, single = TARGETS[self.model, dtype]
            if peer := self.best_peer(dtype):
                rows.append(self.row(dtype, peer, single if self.load == "W4" else throughput))
        for dtype in dtypes:
            if self.load == "W1" and dtype in TORCH_TARGETS and "torch-f32" in self.programs:
                rows.append(self.row(dtype, "torch-f32", TORCH_TARGETS[dtype]))
        return rows


def ratio_table(groups: list[Group]) -> list[str]:
    return [
        "| load | dtype | chunkflow | best peer | its figure | ratio | at least | aim |",
        "|---|---|---|---|---|---|---|---|",
        *(row for group in groups for row in group.ratio_rows()),
    ]


def figure_table(groups: list[Group]) -> list[str]:
    loads = [group.load for group in groups]
    lines = [
        f"| program | {' | '.join(loads)} | peak RSS MiB, {loads[0]} |",
        "|---" * (len(loads) + 2) + "|",
    ]
    for program in groups[0].programs:
        cells = [
            spread(map(shown, group.programs[program]), 2 if group.load == "W4" else 1)
            if program in group.programs else ""
            for group in groups
        ]
        first = groups[0].programs[program][0]
        lines.append(f"| {program} | {' | '.join(cells)} | {first['peak_rss_mib']:.0f} |")
    return lines


def sections(records: list[dict]) -> list[str]:
    lines = []
    for model in unique(records, "model"):
        for cores in unique(records, "cores"):
            part = [r for r in records if r["model"] == model and r["cores"] == cores]
            if not part:
                continue
            loads = unique(part, "load")
            groups = [Group([r for r in part if r["load"] == load]) for load in loads]
            title = f"## {TITLES[model]}, {cores} {'core' if cores == 1 else 'cores'}"
            lines += ["", title, "", *ratio_table(groups), "", *figure_table(groups)]
    return lines


def agreement_table(cosines: dict[str, dict[str, float]]) -> list[str]:
    if not cosines:
        return []
    rows = [f"| {name} | {c['mean']:.5f} | {c['min']:.5f} |" for name, c in cosines.items()]
    title = "## Cosine to torch f32, W1 of all-MiniLM-L6-v2"
    return ["", title, "", "| program | mean | min |", "|---|---|---|", *rows]


def cold_start_lines(starts: list[dict]) -> list[str]:
    lines = []
    for start in starts:
        figures = {k.removeprefix("chunkflow-"): v for k, v in start.items() if "chunkflow-" in k}
        each = ", ".join(f"{dtype} {ms:.0f} ms" for dtype, ms in figures.items())
        lines.append(f"- {start['cores']} core(s): {each}")
    return ["", "## Cold start: process start to first vector, median", "", *lines] if lines else []


def disturbed(records: list[dict]) -> list[str]:
    noisy = [r for r in records if r["cores"] == 1 and r["cpu_share"] < QUIET_CPU_SHARE]
    if not noisy:
        return []
    least = min(record["cpu_share"] for record in noisy)
    return [
        "",
        f"Not a quiet machine: {len(noisy)} of {len(records)} figures were taken with less than "
        f"{QUIET_CPU_SHARE:.0%} of the core, the least with {least:.0%}.",
    ]


def markdown(result: dict) -> str:
    machine = result["machine"]
    features = ", ".join(machine["features"])
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return "\n".join([
        "# chunkflow beside its peers",
        "",
        f"{machine['cpu']} (family/model/stepping {machine['model']}; {features}), "
        f"{machine['cores']} cores, Linux {machine['kernel']}, {result['date']}; {versions}.",
        "",
        f"    {result['command']}",
        "",
        "Texts per second, W4: p50 of single calls in ms; median (min..max) of "
        f"{result['rounds']} rounds {METHOD}",
        *sections(result["records"]),
        *agreement_table(result["cosines"]),
        *cold_start_lines(result["cold_start_ms"]),
        *disturbed(result["records"]),
    ])
