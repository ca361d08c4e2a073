#!/usr/bin/env python3
"""Let PyPI's torch import on a machine without gigabytes of CUDA libraries.

The wheel links them although a CPU never calls them. After `pip install --no-deps torch`, run this
once with that environment's Python: for each CUDA library that torch names and that is not there,
it compiles a stand-in whose functions do nothing, where torch looks for them. Needs gcc and
binutils.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import defaultdict
from pathlib import Path

PACKAGES = Path(sysconfig.get_paths()["purelib"])
TORCH = PACKAGES / "torch" / "lib"
# Part of torch's search path.
STUBS = PACKAGES / "nvidia" / "cu13" / "lib"
CUDA_LIBRARY = re.compile(r"lib(cu|nv|nccl)")
CUDA_NAME = re.compile(r"_*(cu|nv|nccl)")
# How CUDA says that there is no device.
NO_DEVICE = "100"
SPECIAL = {
    "cudaGetDeviceCount": f"int cudaGetDeviceCount(int *n) {{ *n = 0; return {NO_DEVICE}; }}",
    "cudaGetErrorString": 'const char *cudaGetErrorString(int e) { return "no CUDA"; }',
    "cudaGetErrorName": 'const char *cudaGetErrorName(int e) { return "no CUDA"; }',
}


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Needs:
    """What torch's libraries ask of others: libraries, their versions, names of each version."""

    def __init__(self, objects: list[Path]) -> None:
        self.versions: dict[str, set[str]] = {}
        self.names: dict[str, set[str]] = defaultdict(set)
        self.plain: set[str] = set()
        present = {path.name for path in objects}
        defined: set[str] = set()
        for path in objects:
            self.add_libraries(path, present)
            self.add_names(path, defined)
        self.plain = {name for name in self.plain - defined if CUDA_NAME.match(name)}

    def add_libraries(self, path: Path, present: set[str]) -> None:
        for library in re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", str(path))):
            if library not in present and CUDA_LIBRARY.match(library):
                self.versions.setdefault(library, set())
        library = ""
        for line in output("readelf", "-V", str(path)).splitlines():
            if found := re.search(r"File: (\S+)", line):
                library = found[1]
            if (found := re.search(r"Name: (\S+)", line)) and library in self.versions:
                self.versions[library].add(found[1])

    def add_names(self, path: Path, defined: set[str]) -> None:
        for line in output("nm", "-D", str(path)).splitlines():
            *_, kind, symbol = line.split()
            name, _, version = symbol.partition("@")
            if kind not in "Uw":
                defined.add(name)
            elif version:
                self.names[version.lstrip("@")].add(name)
            else:
                self.plain.add(name)


def source(names: set[str]) -> str:
    plain = "long {0}(void) {{ return 0; }}"
    return "\n".join(SPECIAL.get(name) or plain.format(name) for name in sorted(names)) + "\n"


def compile_stub(library: str, versions: dict[str, set[str]], more: set[str]) -> None:
    """A library of this name with these names in each version, and more without one."""
    script = "".join(
        f"{version} {{ global: {''.join(f'{name};' for name in sorted(names))} }};\n"
        for version, names in versions.items()
    )
    with tempfile.TemporaryDirectory() as scratch:
        code, versioning = Path(scratch) / "stub.c", Path(scratch) / "stub.map"
        code.write_text(source(more.union(*versions.values())))
        versioning.write_text(script)
        flags = [f"-Wl,--version-script={versioning}"] if versions else []
        subprocess.run(
            ["gcc", "-w", "-fno-builtin", "-shared", "-fPIC", "-o", str(STUBS / library), str(code),
             f"-Wl,-soname,{library}", *flags], check=True,
        )


def main() -> int:
    needs = Needs(sorted(TORCH.glob("*.so*")))
    STUBS.mkdir(parents=True, exist_ok=True)
    for library, versions in needs.versions.items():
        if any(PACKAGES.glob(f"nvidia/**/{library}")):
            continue
        more = needs.plain if library.startswith("libcudart") else set()
        compile_stub(library, {version: needs.names[version] for version in versions}, more)
    return 0


if __name__ == "__main__":
    sys.exit(main())
