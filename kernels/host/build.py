#!/usr/bin/env python3
"""Compiles kernels and the emulated driver for the host: libcuda.so.1 and its companions.

    build.py --kernels FOLDER --out FOLDER

Compiles what has changed since the last time, and prints one line.
"""

import argparse
import concurrent.futures
import fcntl
import itertools
import os
import pathlib
import re
import subprocess
import sys

HOST = pathlib.Path(__file__).resolve().parent
COMPILER = os.environ.get("CXX", "g++")
OBJCOPY = os.environ.get("OBJCOPY", "objcopy")
COMMON = ["-std=c++17", "-march=x86-64-v3", "-fPIC", "-fvisibility=hidden", "-g1", "-pthread",
          "-DCHUNKFLOW_HOST", f"-I{HOST / 'include'}"]
RUNTIME_FLAGS = ["-O3", "-Wall", "-Wextra"]
KERNEL_FLAGS = ["-O2", "-fno-fast-math", "-fno-exceptions", "-Wall", "-Wno-unknown-pragmas"]
# Values of __CUDA_ARCH__ that kernels are compiled for: a device takes the largest that it has reached.
ARCHITECTURES = [750, 800]
# Opened by name, they find everything in the first, which holds all entry points.
COMPANIONS = ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10"]
JOBS = 2

SHARED = re.compile(r"^\s*extern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s+)?([\w:<>, ]+?)\s+(\w+)\s*\[\s*\]\s*;")
# What host_device.h leaves of `extern "C" __global__ void __launch_bounds__(n) name(`.
KERNEL = re.compile(r'extern\s+"C"\s+((?:CHUNKFLOW_HOST_KERNEL|CHUNKFLOW_HOST_BOUNDS\s*\([^()]*\)|void\b|\s)+)(?!CHUNKFLOW_HOST)(\w+)\s*\(')
BOUNDS = re.compile(r"CHUNKFLOW_HOST_BOUNDS\s*\(([^()]*)\)")


class BuildError(Exception):
    """What stops the build, as the user should read it."""


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def write_if_changed(path, text):
    """Whether it had to be written."""
    if path.exists() and path.read_text() == text:
        return False
    path.write_text(text)
    return True


def newest(paths):
    return max(path.stat().st_mtime for path in paths)


def is_current(target, dependencies):
    return target.exists() and target.stat().st_mtime > newest(dependencies)


def translate(source):
    """The text of a kernel's source with dynamic shared memory as a pointer, else as it is."""
    lines = [f'#line 1 "{source}"']
    for number, line in enumerate(source.read_text().splitlines(), 1):
        code = line.split("//")[0]
        found = SHARED.match(code)
        if found:
            kind, name = found.groups()
            line = f"{kind}* {name} = reinterpret_cast<{kind}*>(::host::block.shared);"
        elif "__shared__" in code:
            raise BuildError(f"{source}:{number}: shared memory must be `extern __shared__ T name[];` on a line of its own")
        lines.append(line)
    return "\n".join(lines) + "\n"


def kernels_of(source, architecture):
    """Names of the kernels of a translated source, with the expressions of their launch bounds."""
    text = run([COMPILER, *COMMON, f"-D__CUDA_ARCH__={architecture}", "-DCHUNKFLOW_HOST_LIST", "-E", "-P", "-x", "c++", str(source)])
    found = []
    for match in KERNEL.finditer(text):
        words, name = match.groups()
        if "CHUNKFLOW_HOST_KERNEL" in words:
            bounds = BOUNDS.search(words)
            found.append((name, bounds.group(1).strip() if bounds else "1024"))
    return found


def write_unit(source, architecture, folder, dependencies):
    """A source of the host: the kernels of one .cu, and what makes them known to the driver."""
    unit = folder / f"{source.stem}.{architecture}.cpp"
    if is_current(unit, dependencies):
        return unit, unit.read_text().count("register_kernel")
    kernels = kernels_of(folder / source.name, architecture)
    if not kernels:
        raise BuildError(f"{source}: no `extern \"C\" __global__` kernel")
    lines = [f'#include "{source.name}"', '#include "host_kernel.h"', ""]
    lines += [
        f'static const bool known_{name} = host::register_kernel("{name}", {architecture}, &{name}, {bounds});'
        for name, bounds in kernels
    ]
    unit.write_text("\n".join(lines) + "\n")
    return unit, len(kernels)


def compile_changed(jobs):
    """Compiles (source, object, flags, dependencies) where the object is older; how many it were."""
    changed = [job for job in jobs if not is_current(job[1], [job[0], *job[3]])]

    def compile_one(job):
        source, target, flags, _ = job
        partial = target.with_suffix(".partial.o")
        run([COMPILER, *COMMON, *flags, "-c", str(source), "-o", str(partial)])
        partial.replace(target)

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for done in [pool.submit(compile_one, job) for job in changed]:
            done.result()
    return len(changed)


def join(objects, target):
    """One object of all kernels for an architecture, whose names are its own: the same kernels, and
    inline functions of the same names, are in the others."""
    if is_current(target, objects):
        return
    partial = target.with_suffix(".partial.o")
    run([COMPILER, "-r", "-nostdlib", "-Wl,--force-group-allocation", *map(str, objects), "-o", str(partial)])
    run([OBJCOPY, "--localize-hidden", str(partial)])
    partial.replace(target)


def link_library(path, options):
    """In one step for who has the old one open."""
    partial = path.with_name(path.name + ".partial")
    run([COMPILER, "-shared", f"-Wl,-soname,{path.name}", *options, "-o", str(partial)])
    partial.replace(path)


def link(out, objects):
    library = out / "libcuda.so.1"
    # Its own names first: the program that opens it may have functions of the same names.
    link_library(library, ["-pthread", "-Wl,-Bsymbolic", "-Wl,--no-undefined", *map(str, objects)])
    alias = out / "libcuda.so"
    if not alias.is_symlink():
        alias.symlink_to(library.name)
    for name in COMPANIONS:
        link_library(out / name, ["-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", str(library)])


def build(kernels, out):
    generated = out / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    headers = [*sorted((HOST / "include").glob("*.h")), pathlib.Path(__file__).resolve()]
    texts = sorted(kernels.glob("*.cuh"))
    sources = sorted(kernels.glob("*.cu"))
    for text in texts + sources:
        write_if_changed(generated / text.name, translate(text))
    for stale in {*generated.glob("*.cu"), *generated.glob("*.cuh")} - {generated / text.name for text in texts + sources}:
        stale.unlink()
    units, jobs, count = {architecture: [] for architecture in ARCHITECTURES}, [], 0
    for source, architecture in itertools.product(sources, ARCHITECTURES):
        dependencies = [source, *texts, *headers]
        unit, known = write_unit(source, architecture, generated, dependencies)
        count += known
        units[architecture].append(unit.with_suffix(".o"))
        jobs.append((unit, units[architecture][-1], [*KERNEL_FLAGS, f"-D__CUDA_ARCH__={architecture}"], dependencies))
    runtime_headers = sorted(HOST.glob("*.h"))
    objects = [generated / f"kernels.{architecture}.o" for architecture in ARCHITECTURES]
    for source in sorted(HOST.glob("*.cpp")):
        objects.append(generated / f"host_{source.stem}.o")
        jobs.append((source, objects[-1], RUNTIME_FLAGS, [*headers, *runtime_headers]))
    compiled = compile_changed(jobs)
    # A list that has changed leaves out of what was linked what is no more.
    parts = "\n".join(map(str, [*objects, *(job[1] for job in jobs)]))
    other_objects = write_if_changed(generated / "objects.txt", parts)
    for architecture, target in zip(ARCHITECTURES, objects):
        if other_objects:
            target.unlink(missing_ok=True)
        join(units[architecture], target)
    if other_objects or not is_current(out / "libcuda.so.1", objects):
        link(out, objects)
    return f"{count} kernels for the host in {out}, {compiled} of {len(jobs)} files compiled"


def build_alone(kernels, out):
    """Tests that start at the same time build once."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build(kernels, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    try:
        print(build_alone(arguments.kernels.resolve(), arguments.out.resolve()))
    except BuildError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
