"""Durable receipts of Dataverse's notifications, against a server that stores nothing, and one that answers 200.

    PYTHONPATH=. python benchmarks/webhooks.py

Client and servers share the machine's cores, so that the rates tell of both; the processor time is the server's alone.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path
from typing import Any

from load import compare

from runner.registrations.identity import step_id
from runner.web.serving.batches import Batches

SIDES = ("bare ASGI, answers 200", "Starlette, answers 200", "reads, stores nothing", "a commit for each", "durable")
REGISTRATIONS = Path(__file__).parents[1] / "registrations.yaml"
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


class OneByOne(Batches[Any, Any]):
    """No batches: each is stored by itself, one after the other, by the same code."""

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        for item, result in waiting:
            done = asyncio.get_running_loop().run_in_executor(self._thread, self._results, [item])
            done.add_done_callback(lambda done, result=result: self._end([result], done.result()))


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
        if side == "reads, stores nothing":
            intake._queue = StoresNothing()  # type: ignore[assignment]
        hook = DataverseHook(intake, service.credentials)
        if side == "a commit for each":
            hook._store = OneByOne(intake.store_all, "store")
        apps = {"bare ASGI, answers 200": lambda: plain, "Starlette, answers 200": starlette}
        app = apps.get(side, lambda: hook)()
        url = url_of(bound, "127.0.0.1", secure=False)
        Server(app, bound).serve_until_stopped(lambda: print(url.rpartition(":")[2], flush=True))


def main() -> None:
    compare(__file__, SIDES, lambda: (notification(next(_ids)), ""))


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 1 else main()
