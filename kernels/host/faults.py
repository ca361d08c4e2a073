"""Plants one fault after another into copies of the kernels and shows which tests find it.

usage: python3 kernels/host/faults.py --tests target/debug/deps/it-HASH

Every fault must make at least one of its tests fail, else the tests are blind to it: exit status 1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

KERNELS = Path(__file__).resolve().parent.parent


@dataclass
class Fault:
    """A text of a file, what replaces it, and the tests that are to notice, on a device of a compute
    capability."""

    what: str
    file: str
    text: str
    planted: str
    tests: str
    capability: str = "80"


FAULTS = [
    Fault(
        "off-by-one bound: the last row of a grid's last block is left out",
        "norm.cu",
        "if (index >= rows) return;",
        "if (index + 1 >= rows) return;",
        "exec::cuda::residual_norm",
    ),
    Fault(
        "off-by-one bound: a row past the end is written",
        "norm.cu",
        "if (index >= rows) return;",
        "if (index > rows) return;",
        "exec::cuda::residual_norm",
    ),
    Fault(
        "off-by-one bound: a causal query does not see itself",
        "attention.cuh",
        "return key <= query;",
        "return key < query;",
        "cuda::narrow::attention",
    ),
    Fault(
        "missing barrier: values are read before all of them are there",
        "attention_mma.cuh",
        "        // All have read the keys, and all see the values.\n        __syncthreads();",
        "",
        "cuda::narrow::attention",
    ),
    Fault(
        "missing barrier: values are overwritten while others read them",
        "attention_mma.cuh",
        "        // All have read the values.\n        __syncthreads();",
        "",
        "cuda::narrow::attention",
    ),
    Fault(
        "missing barrier: partial sums are read before all warps have written",
        "pool.cu",
        "[warp * WIDTH + i * WARP + lane] = sum[i];\n        __syncthreads();",
        "[warp * WIDTH + i * WARP + lane] = sum[i];",
        "exec::cuda::pool",
    ),
    Fault(
        "missing wait: keys are read while their copy is under way",
        "attention_mma.cuh",
        "wait_copies<1>();",
        "",
        "cuda::narrow::attention",
    ),
    Fault(
        "dropped tail: columns past the last whole chunk are not read",
        "values.cuh",
        "chunk.values[i] = first + i < cols ? row[first + i] : narrow<T>(0.f);",
        "chunk.values[i] = first + CHUNK<T> <= cols ? row[first + i] : narrow<T>(0.f);",
        "exec::cuda::embed_norm",
    ),
    Fault(
        "dropped tail: columns past the last whole chunk are not written",
        "values.cuh",
        "            if (first + i < cols) row[first + i] = chunk.values[i];",
        "            if (first + CHUNK<T> <= cols) row[first + i] = chunk.values[i];",
        "exec::cuda::embed_norm",
    ),
    Fault(
        "wrong stride: rows of the fused projection without its values",
        "attention.cuh",
        "size_t(shape.heads + 2 * shape.kv_heads) * shape.dim};",
        "size_t(shape.heads + shape.kv_heads) * shape.dim};",
        "exec::cuda::attention",
    ),
    Fault(
        "wrong stride: a head's values are its keys",
        "attention_f32.cuh",
        "size_t(shape.heads + shape.kv_heads + at.kv_head) * dim;",
        "size_t(shape.heads + at.kv_head) * dim;",
        "exec::cuda::attention",
    ),
    Fault(
        "wrong half: 7.5 multiplies with the first rows twice",
        "ptx.cuh",
        "{b[half]});",
        "{b[0]});",
        "cuda::narrow::attention",
        "75",
    ),
    Fault(
        "dropped tail: 7.5 leaves what it does not copy as it was",
        "ptx.cuh",
        "*static_cast<uint4*>(to) = valid ?",
        "if (valid) *static_cast<uint4*>(to) = valid ?",
        "cuda::narrow::attention",
        "75",
    ),
    Fault(
        "wrong norm: eps is left out",
        "values.cuh",
        "warp_sum(squares) / cols + norm.eps",
        "warp_sum(squares) / cols",
        "exec::cuda::residual_norm",
    ),
    Fault(
        "dropped tail: bits past the last column are compared",
        "tiles.cuh",
        "if (valid > 0 && valid < 32) words[word] &=",
        "if (valid > 0 && valid < 8) words[word] &=",
        "cuda::similarity_rows::matrices_hold",
    ),
    Fault(
        "wrong scale: a row's own in place of the other's",
        "tiles.cuh",
        "(scale(a, row) * scale(b, column))",
        "(scale(a, row) * scale(b, row))",
        "cuda::similarity_rows::matrices_hold",
    ),
    Fault(
        "wrong index: every slice counts from 0",
        "similarity.cu",
        "selection, row, top.origin.column + column, keys",
        "selection, row, column, keys",
        "cuda::similarity_rows::the_best",
    ),
    Fault(
        "off-by-one bound: one tile above the diagonal is left out",
        "similarity.cu",
        "mirror == out && column + Tile::COLS <= row)",
        "mirror == out && column <= row)",
        "cuda::similarity_rows::matrices_of_rows",
    ),
]


def plant(fault: Fault, folder: Path) -> None:
    """A copy of the kernels in `folder`, with the fault."""
    shutil.copytree(KERNELS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / fault.file
    text = path.read_text()
    if text.count(fault.text) != 1:
        sys.exit(f"{fault.file}: `{fault.text}` stands there {text.count(fault.text)} times, not once")
    path.write_text(text.replace(fault.text, fault.planted))


def failures(tests: Path, fault: Fault, libraries: Path) -> list[str]:
    """The tests that fail, or what ended the process."""
    environment = dict(
        os.environ,
        LD_LIBRARY_PATH=str(libraries),
        CHUNKFLOW_HOST_DEVICES="2",
        CHUNKFLOW_HOST_CAPABILITY=fault.capability,
    )
    ran = subprocess.run(
        [tests, fault.tests], env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    failed = [line.split()[1] for line in ran.stdout.splitlines() if line.endswith("... FAILED")]
    if ran.returncode and not failed:
        lines = [line for line in ran.stderr.splitlines() if line.strip()]
        failed = [f"the process ends: {lines[-1] if lines else ran.returncode}"]
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=Path, required=True, help="the test binary of a CUDA build")
    arguments = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        libraries = Path(scratch) / "libraries"
        for number, fault in enumerate(FAULTS):
            folder = Path(scratch) / f"fault-{number}" / "kernels"
            plant(fault, folder)
            build = [sys.executable, folder / "host/build.py", "--kernels", folder, "--out", libraries]
            subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
            failed = failures(arguments.tests.resolve(), fault, libraries)
            missed += not failed
            print(f"{fault.what}\n    {fault.file}: {fault.text.strip().splitlines()[-1].strip()}")
            print(f"    {'found by ' + ', '.join(failed) if failed else 'NOT FOUND'}", flush=True)
    if missed:
        sys.exit(f"{missed} of {len(FAULTS)} faults are not found")


if __name__ == "__main__":
    main()
