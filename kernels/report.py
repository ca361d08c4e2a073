#!/usr/bin/env python3
"""Static evidence about the CUDA kernels, without a GPU: compiles them for each compute capability,
reads ptxas' figures and the machine code, checks both against the kernels' @kernel lines, and
writes a report with a roofline.

    python3 kernels/report.py [--check] [--capabilities 80,90] [--kernels DIR] [--out FILE]

NVCC or CUDA_HOME names the compiler. Exit status: 0, 1 for a violation, 2 where nothing was checked.
"""

import argparse
import ast
import itertools
import math
import operator
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = ["-cubin", "-O3", "-std=c++17", "-Xptxas", "-v,-warn-spills"]
PROCESSES = 2
# bf16 has no matrix instruction before 8.0: what needs one is a trap there.
FIRST_BF16_CAPABILITY = 80

# A device has so many registers for a block, whose warps take them by units of 8 a thread; a block of
# a kernel without launch bounds may have so many threads.
REGISTERS, REGISTER_UNIT, MAX_THREADS = 65_536, 8, 1024

# The shape at which expressions of @kernel lines are evaluated.
SHAPE = {"H": 384, "N": 128, "D": 32}
UNITS = 1_000_000
# Bytes of an instruction's modifiers; without one it moves 4.
WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}
# Fields of Measured in the report.
COLUMNS = ["shared", "stack", "spills", "load", "store", "matrix"]


# Published peaks: GB/s of device memory, TFLOP/s of FP32 outside matrix units, and of FP16 on them
# (dense, sums in f32).
Device = namedtuple("Device", "name capability bandwidth plain matrix")
DEVICES = [
    Device("T4", 75, 320, 8.1, 65),
    Device("A10", 86, 600, 31.2, 125),
    Device("L4", 89, 300, 30.3, 121),
    Device("A100 80 GB SXM", 80, 2039, 19.5, 312),
    Device("H100 SXM", 90, 3350, 66.9, 989),
]


class ReportError(Exception):
    """Nothing could be checked."""


@dataclass(frozen=True)
class Declared:
    """One kernel of a @kernel line; widths in bytes, bytes and flops a unit at SHAPE."""

    name: str
    load: int
    store: int
    mma: bool
    unit: str
    bytes: float
    flops: float

    def is_trap(self, capability):
        """Whether the kernel may be a trap, for want of matrix units for bf16."""
        return self.mma and "bf16" in self.name and capability < FIRST_BF16_CAPABILITY


# Fields of a @kernel line, and what each must look like.
FIELDS = {"load": r"\d+", "store": r"\d+", "mma": "[01]", "unit": ".+", "bytes": ".+", "flops": ".+"}
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def evaluate(expression, variables):
    """An arithmetic expression over numbers and `variables`; nothing else is evaluated."""

    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return node.value
        if isinstance(node, ast.Name) and node.id in variables:
            return variables[node.id]
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](value(node.left), value(node.right))
        raise ReportError(f"`{expression}` has more than numbers, + - * / and {', '.join(variables)}")

    try:
        return value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ZeroDivisionError) as error:
        raise ReportError(f"`{expression}` has no value: {error}") from error


def expand(pattern):
    """The names of `a_{b,c}`: each brace stands for its alternatives."""
    parts = re.split(r"\{([^{}]*)\}", pattern)
    choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def shape_of(name):
    """SHAPE with the size S of a value and the head size D that a kernel's name tells."""
    words = name.split("_")
    head = int(words[-1]) if words[-1].isdigit() else SHAPE["D"]
    return {**SHAPE, "S": 2 if {"f16", "bf16"} & set(words) else 4, "D": head}


def read_line(line):
    """The kernels of the text after `@kernel`."""
    pattern, *fields = line.split()
    values = {"mma": "0"} | dict(field.partition("=")[::2] for field in fields)
    wrong = [name for name, form in FIELDS.items() if not re.fullmatch(form, values.get(name, ""))]
    wrong += sorted(set(values) - set(FIELDS))
    if wrong:
        raise ReportError(f"@kernel {pattern}: missing, unknown or wrong: {', '.join(wrong)}")
    load, store, mma, unit, *amounts = (values[name] for name in FIELDS)
    return [
        Declared(name, int(load), int(store), mma == "1", unit, *(evaluate(each, shape_of(name)) for each in amounts))
        for name in expand(pattern)
    ]


def read_declared(folder):
    """The kernels of all @kernel lines, by file and line."""
    text = "".join(file.read_text() for file in sorted(folder.glob("*.cu")))
    kernels = [kernel for line in re.findall(r"^// @kernel +(\S.*)$", text, re.MULTILINE) for kernel in read_line(line)]
    if not kernels:
        raise ReportError(f"no @kernel line in {folder}")
    return kernels


@dataclass
class Measured:
    """A function of the binary; widths and sizes in bytes, others are counts of instructions."""

    is_kernel: bool = False
    registers: int = 0
    threads: int = MAX_THREADS
    shared: int = 0
    stack: int = 0
    spills: int = 0
    load: int = 0
    store: int = 0
    matrix: int = 0
    local: int = 0
    traps: int = 0


def find_tools():
    """The compiler, found as kernels/build.rs does, and the disassembler beside it."""
    home = os.environ.get("CUDA_HOME", "")
    nvcc = os.environ.get("NVCC") or (f"{home}/bin/nvcc" if home else "nvcc")
    folders = [f"{home}/bin", str(Path(shutil.which(nvcc) or nvcc).parent), os.environ.get("PATH", "")]
    return nvcc, shutil.which("cuobjdump", path=os.pathsep.join(folders)) or "cuobjdump"


def run(*command):
    """What a command prints on both outputs; its failure is an error."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        raise ReportError(f"`{command[0]}`: {error.strerror}; set CUDA_HOME or NVCC") from error
    if done.returncode:
        raise ReportError(f"{' '.join(command)}\n{done.stdout}")
    return done.stdout


def read_figures(log, functions):
    """Takes ptxas' figures over into `functions`."""
    entry, current = Measured(), Measured()
    for line in log.splitlines():
        if match := re.search(r"Compiling entry function '(\S+)'", line):
            entry = functions.setdefault(match[1], Measured())
            entry.is_kernel = True
        elif match := re.search(r"Function properties for (\S+)", line):
            current = functions.setdefault(match[1], Measured())
        elif match := re.search(r"(\d+) bytes stack frame, (\d+) .*stores, (\d+) .*loads", line):
            current.stack, stores, loads = map(int, match.groups())
            current.spills = stores + loads
        elif match := re.search(r"Used (\d+) registers(?:.* (\d+) bytes smem)?", line):
            entry.registers, entry.shared = (int(each or 0) for each in match.groups())


def count_instruction(function, instruction):
    """Adds an instruction, as `LDG.E.128`, to its function's figures."""
    name, *modifiers = instruction.split(".")
    # A modifier alone is a width: LTC128B is one of the cache.
    width = next((WIDTHS[modifier] for modifier in modifiers if modifier in WIDTHS), 4)
    if name in ("LDG", "LDGSTS"):
        function.load = max(function.load, width)
    elif name == "STG":
        function.store = max(function.store, width)
    elif name in ("LDL", "STL"):
        function.local += 1
    elif name == "BPT" and "TRAP" in modifiers:
        function.traps += 1
    elif name.endswith("MMA"):
        function.matrix += 1


def read_code(listing, functions):
    """Takes what the disassembled instructions show over into `functions`."""
    function = Measured()
    instruction = re.compile(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z][A-Z0-9_.]*)")
    for line in listing.splitlines():
        if match := re.search(r"Function : (\S+)", line):
            function = functions.setdefault(match[1], Measured())
        elif match := instruction.match(line):
            count_instruction(function, match[1])


def read_bounds(listing, functions):
    """Takes the launch bounds over into `functions`."""
    function, bounds = Measured(), False
    for line in listing.splitlines():
        if match := re.match(r"\.nv\.info\.(\S+)$", line):
            function = functions.setdefault(match[1], Measured())
        elif "Attribute:" in line:
            bounds = line.endswith("EIATTR_MAX_THREADS")
        elif bounds and (match := re.match(r"\s*Value:\s+0x([0-9a-f]+) 0x([0-9a-f]+) 0x([0-9a-f]+)", line)):
            function.threads = math.prod(int(side, 16) for side in match.groups())


def measure(folder, scratch, capability, tools):
    """Compiles the kernels for a capability; the functions of its machine code by name."""
    nvcc, cuobjdump = tools
    source, cubin = scratch / "kernels.cu", str(scratch / f"sm_{capability}.cubin")
    arch = f"-gencode=arch=compute_{capability},code=sm_{capability}"
    log = run(nvcc, *FLAGS, arch, "-I", str(folder), "-o", cubin, str(source))
    functions = {}
    read_figures(log, functions)
    read_code(run(cuobjdump, "-sass", cubin), functions)
    read_bounds(run(cuobjdump, "-elf", cubin), functions)
    return functions


def measure_all(folder, capabilities, tools):
    """Functions by name, by capability, of one translation unit of all kernels."""
    unit = "".join(f'#include "{file.name}"\n' for file in sorted(folder.glob("*.cu")))
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(PROCESSES) as pool:
        Path(scratch, "kernels.cu").write_text(unit)
        found = pool.map(lambda each: measure(folder, Path(scratch), each, tools), capabilities)
        return dict(zip(capabilities, found))


def faults_of(kernel, function, capability):
    """Where a kernel's machine code falls short of its @kernel line."""
    faults = []
    if function.stack or function.spills or function.local:
        figures = f"stack {function.stack} bytes, spills {function.spills} bytes, {function.local} loads and stores"
        faults.append(f"local memory: {figures}")
    registers = -(-function.registers // REGISTER_UNIT) * REGISTER_UNIT
    if registers * function.threads > REGISTERS:
        faults.append(f"{function.threads} threads of {registers} registers do not fit into {REGISTERS}")
    if kernel.is_trap(capability) and function.traps:
        return faults
    for what in ("load", "store"):
        wanted, found = getattr(kernel, what), getattr(function, what)
        if found < wanted:
            faults.append(f"the widest global {what} has {found} bytes, declared are {wanted}")
    if kernel.mma and not function.matrix:
        faults.append("no matrix instructions, declared is mma=1")
    return faults


def violations_of(declared, measured):
    """Every violation, as lines."""
    counts = Counter(kernel.name for kernel in declared)
    lines = [f"kernel {name} (source): {count} @kernel lines cover it" for name, count in counts.items() if count > 1]
    by_name = {kernel.name: kernel for kernel in declared}
    for capability, functions in measured.items():
        for name in sorted(set(by_name) | set(functions)):
            function = functions.get(name)
            if not function:
                faults = ["a @kernel line declares it, but it is not in the binary"]
            elif not function.is_kernel:
                faults = ["a device function that is not inlined: its loads and stores count for no kernel"]
            elif name not in by_name:
                faults = ["no @kernel line covers it"]
            else:
                faults = faults_of(by_name[name], function, capability)
            lines += [f"kernel {name} (sm_{capability}): {fault}" for fault in faults]
    return lines


INTRO = """\
# Kernels: static evidence

Made by `python3 kernels/report.py` from the kernels' machine code. **Nothing in it ran on a GPU**: it tells what
the compiler made and what published peaks allow, not how fast anything is.

- Compiler: nvcc {}, with `{}`
- Disassembler: cuobjdump {}

## Machine code

Registers of a thread by compute capability (`trap`: the kernel needs matrix units for bf16, which the device
lacks; other columns leave it out). Then, least..most over the capabilities: bytes of static shared memory (what a
launch asks for is not seen here), of stack, of spills and of the widest global load and store; and the number of
matrix instructions.
"""
ROOFLINE = """
## Roofline

Bytes and floating-point operations of a unit by the @kernel lines, for rows of H = {H} values and N = {N} keys; a
value has S = 4 bytes in f32, else 2; a head has the size D that ends the kernel's name, else {D}. The floor is the
larger of bytes over bandwidth (M) and operations over rate (A), in µs for {units:,} units. The rate is that of matrix
units for kernels that use them, else of FP32. All bytes count as moved through device memory: what the L2 cache
holds may come faster.

Peaks, as published (matrix units: f16, sums in f32, dense):
"""


def table(header, rows):
    """Lines of a Markdown table, numbers to the right."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def span(values):
    """Least and most of some numbers, as text."""
    least, most = min(values, default="-"), max(values, default="-")
    return f"{least}" if least == most else f"{least}..{most}"


def number(value):
    """Three significant digits, never with an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"


def code_row(kernel, measured):
    """A kernel's row of the table of machine code."""
    registers, full = [], []
    for capability, functions in measured.items():
        function = functions.get(kernel.name)
        trap = function and function.traps and kernel.is_trap(capability)
        registers.append("trap" if trap else function.registers if function else "-")
        if function and not trap:
            full.append(function)
    columns = [[getattr(each, what) for each in full] for what in COLUMNS]
    return [f"`{kernel.name}`", *registers, *map(span, columns)]


def floor(kernel, device):
    """The least time of UNITS units on a device, and what binds it."""
    if kernel.is_trap(device.capability):
        return "-"
    memory = kernel.bytes * UNITS / (device.bandwidth * 1e9)
    arithmetic = kernel.flops * UNITS / ((device.matrix if kernel.mma else device.plain) * 1e12)
    return f"{number(max(memory, arithmetic) * 1e6)} {'M' if memory >= arithmetic else 'A'}"


def roofline_rows(declared):
    """Rows of the roofline; kernels whose rows are the same share one."""
    rows = {}
    for kernel in declared:
        intensity = number(kernel.flops / kernel.bytes) if kernel.bytes else "-"
        figures = [kernel.unit, f"{kernel.bytes:,.9g}", f"{kernel.flops:,.9g}", intensity]
        figures += [floor(kernel, device) for device in DEVICES]
        rows.setdefault(tuple(figures), []).append(f"`{kernel.name}`")
    return [[", ".join(names), *figures] for figures, names in rows.items()]


def write_report(out, declared, measured, violations, tools):
    """Writes the report; the same input gives the same bytes."""
    compiler, disassembler = (re.search(r"release .*", run(tool, "--version"))[0] for tool in tools)
    text = INTRO.format(compiler, " ".join(FLAGS), disassembler)
    if violations:
        text += "\nViolations:\n\n" + "".join(f"- {line}\n" for line in violations)
    header = ["kernel", *(f"{each // 10}.{each % 10}" for each in measured), *COLUMNS]
    text += "\n" + table(header, [code_row(kernel, measured) for kernel in declared])
    text += ROOFLINE.format(**SHAPE, units=UNITS)
    header = ["device", "GB/s", "FP32 TFLOP/s", "FP16 matrix TFLOP/s"]
    text += "\n" + table(header, [[name, *peaks] for name, _, *peaks in DEVICES])
    header = ["kernel", "unit", "bytes", "FLOP", "FLOP/byte", *(each.name for each in DEVICES)]
    text += "\n" + table(header, roofline_rows(declared))
    out.write_text(text)


def default_capabilities():
    """Those of kernels/build.rs, so that they stand in one place."""
    match = re.search(r'const CAPABILITIES: &str = "([\d,]+)"', (HERE / "build.rs").read_text())
    if not match:
        raise ReportError("kernels/build.rs has no CAPABILITIES; give --capabilities")
    return match[1]


def main():
    """Checks the kernels and, unless asked only to check, writes the report."""
    parser = argparse.ArgumentParser(description="Static evidence about the CUDA kernels.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--capabilities", help="as 80,90; those of kernels/build.rs unless given")
    parser.add_argument("--kernels", type=Path, default=HERE, help="folder of the .cu files")
    parser.add_argument("--out", type=Path, help="REPORT.md in the folder of the kernels unless given")
    options = parser.parse_args()
    try:
        capabilities = sorted(map(int, set((options.capabilities or default_capabilities()).split(","))))
        declared = read_declared(options.kernels)
        tools = find_tools()
        measured = measure_all(options.kernels.resolve(), capabilities, tools)
        violations = violations_of(declared, measured)
        if not options.check:
            write_report(options.out or options.kernels / "REPORT.md", declared, measured, violations, tools)
    except (ReportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sys.stderr.writelines(f"error: {line}\n" for line in violations)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
