"""Folders that are made once and are whole whenever they are there."""

import shutil
from collections.abc import Callable
from pathlib import Path


def build_once(out: Path, build: Callable[[Path], None]) -> None:
    """Lets `build` fill a folder that gets the name `out` when it is done, unless there is one."""
    if out.exists():
        return
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    build(unfinished)
    unfinished.rename(out)
