"""Measures what one client of `chunkflow serve` takes from another: a short query alone, and beside clients with large requests.

Every scenario starts a server of its own on a free port and sends to the loopback interface alone. Several programs may be given; they
take turns, so that their figures stand beside each other.

usage: python3 benches/service.py --chunkflow target/release/chunkflow [--chunkflow another] [--model all-MiniLM-L6-v2] [--seconds 8]
"""

import argparse
import http.client
import json
import random
import re
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

WORDS = (
    "the river carries old stones past quiet fields while bakers knead warm bread and children watch slow clouds gather over distant hills "
    "before evening lamps light narrow streets where travellers trade stories of ships storms gardens clocks engines winters and maps"
).split()
QUERY = {"input": "what carries stones past the fields", "encoding_format": "base64"}
PAUSE_S = 0.05


def texts(count: int, shortest: int, longest: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    return [" ".join(chosen.choices(WORDS, k=chosen.randint(shortest, longest))) for _ in range(count)]


def document(size: int, seed: int) -> str:
    chosen = random.Random(seed)
    sentences, length = [], 0
    while length < size:
        sentence = " ".join(chosen.choices(WORDS, k=chosen.randint(6, 24))).capitalize() + ". "
        sentences.append(sentence)
        length += len(sentence)
    return "".join(sentences)[:size]


class Server:
    """A program that serves, until the end of the `with` block."""

    def __init__(self, program: str, model: str, flags: list[str]):
        self.log = tempfile.TemporaryFile(mode="w+")
        command = [program, "serve", "--port", "0", "--model", model, "--log-level", "info", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log)
        self.port = self.wait_for_port()

    def wait_for_port(self) -> int:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            self.log.seek(0)
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log.read())
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.log.seek(0)
        raise RuntimeError(self.log.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)


class Client:
    """A connection that is kept."""

    def __init__(self, port: int):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def post(self, path: str, body: bytes) -> int:
        self.connection.request("POST", path, body, {"content-type": "application/json"})
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


@dataclass
class Load:
    """Clients that send one body after the other until they are stopped."""

    path: str
    body: bytes
    items: int
    clients: int = 1
    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def start(self, port: int) -> list[threading.Thread]:
        threads = [threading.Thread(target=self.send, args=(port,), daemon=True) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        return threads

    def send(self, port: int) -> None:
        client = Client(port)
        while not self.stop.is_set():
            try:
                status = client.post(self.path, self.body)
            except OSError:
                # The server has ended, and with it the scenario.
                if self.stop.is_set():
                    return
                raise
            if status != 200:
                raise RuntimeError(f"{self.path} answered {status}")
            self.done += self.items


def embeddings(inputs: list[str]) -> bytes:
    return json.dumps({"input": inputs, "encoding_format": "base64"}).encode()


def query_ms(port: int, seconds: float) -> list[float]:
    """The latencies of one short query after the other, with a pause between them."""
    client, body, latencies = Client(port), json.dumps(QUERY).encode(), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        status = client.post("/v1/embeddings", body)
        latencies.append((time.perf_counter() - start) * 1e3)
        if status != 200:
            raise RuntimeError(f"the query was answered {status}")
        time.sleep(PAUSE_S)
    return latencies


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))]


def beside(program: str, model: str, load: Load | None, seconds: float, flags: list[str]) -> dict[str, float]:
    """The latencies of a query beside a load, and the items a second of the load."""
    with Server(program, model, flags) as server:
        query_ms(server.port, 0.3)
        if load:
            load.start(server.port)
            time.sleep(1.0)
        before, start = (load.done if load else 0), time.monotonic()
        latencies = query_ms(server.port, seconds)
        if load:
            # To the end of the request under way, which may be long.
            at = load.done
            while load.done == at and time.monotonic() - start < 20 * seconds:
                time.sleep(0.005)
        elapsed = time.monotonic() - start
        rate = (load.done - before) / elapsed if load else 0.0
        if load:
            load.stop.set()
    return {"p50": quantile(latencies, 0.5), "p99": quantile(latencies, 0.99), "queries": len(latencies), "rate": rate}


def rate_alone(program: str, model: str, load: Load, seconds: float, flags: list[str]) -> float:
    with Server(program, model, flags) as server:
        load.start(server.port)
        time.sleep(1.0)
        at = load.done
        while load.done == at:
            time.sleep(0.002)
        before, start = load.done, time.monotonic()
        while time.monotonic() - start < seconds or load.done == before:
            time.sleep(0.002)
        at = load.done
        while load.done == at:
            time.sleep(0.002)
        rate = (load.done - before) / (time.monotonic() - start)
        load.stop.set()
    return rate


def after_leaving(program: str, model: str, flags: list[str]) -> float:
    """The wait of the next query after a client with 20,000 texts has left."""
    with Server(program, model, flags) as server:
        query_ms(server.port, 0.3)
        leaving = Client(server.port)
        body = embeddings(texts(20_000, 3, 8, 5))
        leaving.connection.request("POST", "/v1/embeddings", body, {"content-type": "application/json"})
        time.sleep(1.5)
        leaving.connection.close()
        time.sleep(0.01)
        client, body = Client(server.port), json.dumps(QUERY).encode()
        start = time.perf_counter()
        client.post("/v1/embeddings", body)
        return (time.perf_counter() - start) * 1e3


def bench_rate(program: str, model: str, inputs: list[str]) -> float:
    """Texts a second of `chunkflow bench` over the same texts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.txt"
        path.write_text("\n".join(inputs) + "\n")
        command = [program, "bench", "--json", "--model", model, "--input", str(path)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(ran.stdout)["texts_per_second"]


def scenarios(program: str, model: str, seconds: float, flags: list[str], small: bool) -> dict[str, object]:
    short, long = texts(2_000, 3, 8, 1), texts(200 if small else 2_000, 20, 79, 2)
    served = texts(512, 20, 79, 3)
    loads = {
        "2,000 short texts": Load("/v1/embeddings", embeddings(short), len(short)),
        f"{len(long):,} of 20 to 79 words": Load("/v1/embeddings", embeddings(long), len(long)),
    }
    if not small:
        body = json.dumps({"input": document(300_000, 4)}).encode()
        loads["/v1/chunk of 300 kB"] = Load("/v1/chunk", body, 1)
    results: dict[str, object] = {"alone": beside(program, model, None, seconds, flags)}
    for name, load in loads.items():
        results[name] = beside(program, model, load, seconds, flags)
    throughput = Load("/v1/embeddings", embeddings(long[:200]), 200)
    results["bulk alone"] = rate_alone(program, model, throughput, seconds, flags)
    if not small:
        results["after 20,000 texts left"] = [after_leaving(program, model, flags) for _ in range(3)]
        per_request = Load("/v1/embeddings", embeddings(served[:32]), 32, clients=2)
        results["32 texts a request"] = rate_alone(program, model, per_request, seconds, flags)
        results["bench"] = bench_rate(program, model, served[:32] * 16)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunkflow", action="append", required=True)
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="fewer texts a request, for slow models")
    parser.add_argument("--flag", action="append", default=[], help="a flag of every server")
    arguments = parser.parse_args()
    rounds: dict[str, list[dict[str, object]]] = {program: [] for program in arguments.chunkflow}
    for _ in range(arguments.rounds):
        for program in arguments.chunkflow:
            rounds[program].append(scenarios(program, arguments.model, arguments.seconds, arguments.flag, arguments.small))
    for program, results in rounds.items():
        print(f"\n{program}")
        for name in results[0]:
            values = [result[name] for result in results]
            if isinstance(values[0], dict):
                p50, p99, rate = (statistics.median(value[key] for value in values) for key in ("p50", "p99", "rate"))
                print(f"  query, {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms" + (f"; {rate:.1f} items/s beside it" if rate else ""))
            elif isinstance(values[0], list):
                waits = sorted(wait for value in values for wait in value)
                print(f"  next query, {name}: " + ", ".join(f"{wait:.1f}" for wait in waits) + " ms")
            else:
                print(f"  {name}: {statistics.median(values):.1f} texts/s")


if __name__ == "__main__":
    main()
