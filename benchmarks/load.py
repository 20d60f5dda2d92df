"""Servers in processes of their own, and 64 connections that post to them as fast as they are answered, by turns."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

CONNECTIONS = 64
SECONDS = 2.0
ROUNDS = 5

_HEAD = (
    "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
)
_TICKS = os.sysconf("SC_CLK_TCK")

#: A body no server has seen, and the headers that go with it, each ended by CRLF.
Request = tuple[bytes, str]


@dataclass
class Side:
    """A server and what was measured of it, a figure for each round but the latencies."""

    name: str
    process: subprocess.Popen[str]
    port: int
    rates: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def measure(self, request: Callable[[], Request]) -> None:
        """One round: requests per second, and the server's own processor time for each, in microseconds."""
        before, began = self._processor_time(), time.perf_counter()
        latencies = asyncio.run(_load(self.port, request))
        self.rates.append(len(latencies) / (time.perf_counter() - began))
        self.processor.append((self._processor_time() - before) / len(latencies) * 1e6)
        self.latencies += latencies

    def _processor_time(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return statistics.quantiles(self.latencies, n=100)[98] * 1000


def compare(script: str, names: Sequence[str], request: Callable[[], Request]) -> None:
    """Start ``script NAME DIRECTORY`` for each side, which says its port, and print what the last one is to each."""
    with ExitStack() as closing:
        sides = [_started(script, name, closing) for name in names]
        for _ in range(ROUNDS):
            for side in sides:
                side.measure(request)
    last = sides[-1]
    print(f"bodies of {len(request()[0])} bytes, {CONNECTIONS} connections; the last against each, median of rounds")
    for side in sides:
        print(
            f"  {side.name:<26} {statistics.median(side.rates):7.0f}/s {_ratio(last.rates, side.rates):5.2f}x"
            f"   processor {statistics.median(side.processor):6.0f} us {_ratio(side.processor, last.processor):5.2f}x"
            f"   p99 {side.p99:6.1f} ms"
        )


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def _started(script: str, name: str, closing: ExitStack) -> Side:
    directory = closing.enter_context(tempfile.TemporaryDirectory())
    process = subprocess.Popen([sys.executable, script, name, directory], stdout=subprocess.PIPE, text=True)
    closing.callback(process.wait)
    closing.callback(process.terminate)
    assert process.stdout
    return Side(name, process, int(process.stdout.readline()))


async def _load(port: int, request: Callable[[], Request]) -> list[float]:
    until = time.perf_counter() + SECONDS
    posted = await asyncio.gather(*(_post(port, request, until) for _ in range(CONNECTIONS)))
    return [latency for each in posted for latency in each]


async def _post(port: int, request: Callable[[], Request], until: float) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    latencies = []
    while time.perf_counter() < until:
        body, headers = request()
        began = time.perf_counter()
        writer.write(_HEAD.format(length=len(body), headers=headers).encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer[9:12] in (b"200", b"202"), answer
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()
    return latencies
