"""Load over HTTP: by wrk if installed, else by an asyncio client in a separate process."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.processes import ask

_SCRIPT = Path(__file__).with_name("wrk.lua")


def post(url: str, bodies: Path, key: str, *, connections: int, seconds: float) -> dict[str, Any]:
    """Posts the lines of the file in turn. Returns requests a second, latencies in ms, responses other than 2xx."""
    wrk = shutil.which("wrk")
    if wrk is None:
        answer = ask("bench.load.http_load", url, bodies, key, connections, seconds)
    else:
        command = [wrk, "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30s", "-s", str(_SCRIPT), url]
        done = subprocess.run([*command, "--", str(bodies), key], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout.splitlines()[-1])
    answer["client"] = "wrk" if wrk else "asyncio"
    answer["requests_per_second"] = answer["requests"] / answer["seconds"]
    return answer


async def _load(url: str, bodies: list[bytes], key: str, connections: int, seconds: float) -> dict[str, Any]:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-Api-Key: {key}\r\nContent-Length: "
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
    latencies: list[float] = []
    failed, started = 0, time.perf_counter()

    async def connection(at: int) -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while (sent := time.perf_counter()) < started + seconds:
            at += 1
            writer.write(requests[at % len(requests)])
            answer = await reader.readuntil(b"\r\n\r\n")
            length = answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            failed += not answer.startswith(b"HTTP/1.1 2")
            latencies.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(connection(number * 7919) for number in range(connections)))
    took = time.perf_counter() - started
    ordered = sorted(latency * 1000 for latency in latencies)
    quantiles = {
        "p50_ms": ordered[len(ordered) // 2],
        "p99_ms": ordered[len(ordered) * 99 // 100],
        "max_ms": ordered[-1],
    }
    return {"requests": len(ordered), "seconds": took, **quantiles, "failed": failed}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("url", "bodies", "key"):
        parser.add_argument(name)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    bodies = Path(given.bodies).read_bytes().splitlines()
    print(json.dumps(asyncio.run(_load(given.url, bodies, given.key, given.connections, given.seconds))))


if __name__ == "__main__":
    main()
