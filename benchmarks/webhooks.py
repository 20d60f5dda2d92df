"""Durable receipts of Dataverse's notifications, against a server that stores nothing, and one that answers 200.

    python benchmarks/webhooks.py

Four servers, each a process of its own; 64 connections that post new notifications as fast as they are answered, in
interleaved rounds. The medians of the rounds, and of each round's ratio, are printed. Client and servers share the
machine's cores.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from runner.registrations.identity import step_id

ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 64
SIDES = {
    "bare ASGI, answers 200": "plain",
    "Starlette, answers 200": "starlette",
    "reads, stores nothing": "read",
    "durable": "durable",
}
REGISTRATIONS = Path(__file__).parents[1] / "registrations.yaml"
_HEAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_ids = itertools.count()
#: As `runner apply` registers it.
STEP = step_id("Payment: create the intent")


def notification(number: int) -> bytes:
    """About 3 KB, as for a created payment, with an operation id of its own."""
    columns = ",".join(f'{{"key":"new_text{column}","value":"{"x" * 60}"}}' for column in range(24))
    target = (
        '{"__type":"Entity:http:\\/\\/schemas.microsoft.com\\/xrm\\/2011\\/Contracts","Attributes":['
        f'{columns}],"Id":"7b1f4a0e-2f52-4e11-be6f-{number:012x}","LogicalName":"new_payment"}}'
    )
    return (
        '{"MessageName":"Create","PrimaryEntityName":"new_payment","Stage":40,"Mode":1,"Depth":1,'
        f'"PrimaryEntityId":"7b1f4a0e-2f52-4e11-be6f-{number:012x}",'
        f'"OperationId":"0b1f4a0e-2f52-4e11-be6f-{number:012x}","OwningExtension":{{"Id":"{STEP}","LogicalName":"sdkmessageprocessingstep"}},'
        f'"InputParameters":[{{"key":"Target","value":{target}}}]}}'
    ).encode()


# --- the servers ----------------------------------------------------------------------------------------------


class StoresNothing:
    """A queue that forgets."""

    def send(self, messages: object) -> None:
        """Nothing is kept."""


async def plain(scope: Any, receive: Any, send: Any) -> None:
    from runner.web.asgi import headers_of, read_body, respond

    await read_body(receive, headers_of(scope), 512 * 1024)
    await respond(send, 200, b"\n")


def starlette() -> Any:
    """What most people would write."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def receive(request: Request) -> PlainTextResponse:
        await request.body()
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", receive, methods=["POST"])])


def serve(side: str, directory: Path) -> None:
    from runner.intake.webhook import WebhookIntake
    from runner.service.wiring import opened
    from runner.settings import Settings
    from runner.tracing.recorder import Silence
    from runner.web.server import Server, listen, url_of
    from runner.web.serving.hooks import DataverseHook

    settings = Settings(runner_data_dir=directory, runner_registrations=REGISTRATIONS)
    with listen("127.0.0.1", 0) as bound, opened(settings, Silence()) as service:
        intake: WebhookIntake = service.intake
        if side == "read":
            intake._queue = StoresNothing()  # type: ignore[assignment]
        apps = {"plain": lambda: plain, "starlette": starlette}
        app = apps.get(side, lambda: DataverseHook(intake, service.credentials))()
        url = url_of(bound, "127.0.0.1", secure=False)
        Server(app, bound).serve_until_stopped(lambda: print(url.rpartition(":")[2], flush=True))


# --- the client -----------------------------------------------------------------------------------------------


async def post(port: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    while time.perf_counter() < until:
        body = notification(next(_ids))
        writer.write(_HEAD % len(body) + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer[9:12] in (b"200", b"202"), answer
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        answered += 1
    writer.close()
    await writer.wait_closed()
    return answered


async def per_second(port: int) -> float:
    began = time.perf_counter()
    answered = await asyncio.gather(*(post(port, began + SECONDS) for _ in range(CONNECTIONS)))
    return sum(answered) / (time.perf_counter() - began)


def started(side: str, closing: ExitStack) -> int:
    directory = closing.enter_context(tempfile.TemporaryDirectory())
    server = subprocess.Popen([sys.executable, __file__, side, directory], stdout=subprocess.PIPE, text=True)
    closing.callback(server.wait)
    closing.callback(server.terminate)
    assert server.stdout
    return int(server.stdout.readline())


def main() -> None:
    with ExitStack() as closing:
        ports = [started(side, closing) for side in SIDES.values()]
        rounds = [[asyncio.run(per_second(port)) for port in ports] for _ in range(ROUNDS)]
    medians = [statistics.median(side) for side in zip(*rounds, strict=True)]
    print(f"notifications of {len(notification(0))} bytes, {CONNECTIONS} connections")
    for number, (name, median) in enumerate(zip(SIDES, medians, strict=True)):
        ratio = statistics.median(each[-1] / each[number] for each in rounds)
        print(f"  {name:<24} {median:8.0f}/s   durable is {ratio:.2f}x")


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 1 else main()
