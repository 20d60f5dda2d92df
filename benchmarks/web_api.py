"""The served Web API against a bare Starlette application that does one SQLite statement per request.

    python benchmarks/web_api.py [requests per round]

Both servers run on uvicorn in processes of their own, one at a time under load from eight connections; rounds take
turns, medians of the rounds. CreateMultiple is measured in process, against ``executemany`` of the same rows.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter
from typing import Any

from dataverse_client.types import new_guid

ROUNDS = 7
CONNECTIONS = 8
REQUESTS = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 2000
ROWS = 1000

Ask = Callable[[int], bytes]


# --- the two servers -------------------------------------------------------------------------------------------


def serve(application: Any) -> None:
    """Serve until killed; the first line says the port."""
    from runner.web.server import Server, listen

    with listen("127.0.0.1", 0) as bound:
        Server(application, bound).serve_until_stopped(lambda: print(bound.getsockname()[1], flush=True))


def serve_emulator() -> None:
    """As ``runner emulate --no-registrations`` does."""
    from runner.web.dataverse.host import Hosting, hosted

    with hosted(Hosting()) as site:
        serve(site.app)


def bare_application() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    database.execute("CREATE TABLE payment (id TEXT PRIMARY KEY, name TEXT, amount REAL)")

    async def create(request: Request) -> Response:
        row = await request.json()
        id = new_guid()
        database.execute("INSERT INTO payment VALUES (?, ?, ?)", (id, row["new_name"], row["new_amount"]))
        return Response(status_code=204, headers={"OData-EntityId": f"/payments({id})"})

    async def retrieve(request: Request) -> Response:
        query = "SELECT id, name, amount FROM payment WHERE id = ?"
        id, name, amount = database.execute(query, (request.path_params["id"],)).fetchone()
        return JSONResponse({"new_paymentid": id, "new_name": name, "new_amount": amount})

    routes = [Route("/payments", create, methods=["POST"]), Route("/payments({id})", retrieve)]
    return Starlette(routes=routes)


@contextmanager
def running(name: str) -> Iterator[int]:
    """A server in a process of its own; answers its port."""
    process = subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


# --- the load --------------------------------------------------------------------------------------------------


async def answered(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert head[9:10] == b"2", head
    _, _, rest = head.lower().partition(b"content-length: ")
    length = int(rest.partition(b"\r\n")[0]) if rest else 0
    return head, await reader.readexactly(length)


async def converse(port: int, count: int, ask: Ask, hear: Callable[[bytes], None]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(count):
        writer.write(ask(number))
        head, _ = await answered(reader)
        hear(head)
    writer.close()
    await writer.wait_closed()


async def load(port: int, ask: Ask, hear: Callable[[bytes], None] = lambda head: None) -> float:
    """Requests per second of all connections together."""
    talks: list[Awaitable[None]] = [converse(port, REQUESTS // CONNECTIONS, ask, hear) for _ in range(CONNECTIONS)]
    start = perf_counter()
    await asyncio.gather(*talks)
    return REQUESTS / (perf_counter() - start)


def post(path: str) -> Ask:
    body = b'{"new_name":"Invoice 7","new_amount":19.99}'
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    return lambda number: request


def get(path: str, ids: list[str], query: str = "") -> Ask:
    def ask(number: int) -> bytes:
        return f"GET {path}({ids[number % len(ids)]}){query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

    return ask


class Side:
    """One server under load, and the ids of the rows it made."""

    def __init__(self, port: int, path: str, query: str = "") -> None:
        self.port, self.path, self.query = port, path, query
        self.ids: list[str] = []
        self.rates: dict[str, list[float]] = {"create": [], "retrieve": []}

    def round(self) -> None:
        self.rates["create"].append(asyncio.run(load(self.port, post(self.path), self._remember)))
        self.rates["retrieve"].append(asyncio.run(load(self.port, get(self.path, self.ids, self.query))))

    def _remember(self, head: bytes) -> None:
        self.ids.append(head.partition(b"(")[2].partition(b")")[0].decode())


def over_http() -> None:
    with ExitStack() as servers:
        api = "/api/data/v9.2/new_payments"
        ours = Side(servers.enter_context(running("emulator")), api, "?$select=new_name,new_amount")
        bare = Side(servers.enter_context(running("bare")), "/payments")
        for _ in range(ROUNDS):
            ours.round()
            bare.round()
    for name in ("create", "retrieve"):
        ratio = median(mine / other for mine, other in zip(ours.rates[name], bare.rates[name], strict=True))
        mine, other = median(ours.rates[name]), median(bare.rates[name])
        print(f"{name}: {mine:,.0f} requests/s, bare Starlette {other:,.0f}, {ratio:.2f}x (target >= 0.5)")


# --- many rows at once -----------------------------------------------------------------------------------------


def create_multiple() -> None:
    from runner.emulator.emulator import Emulator
    from runner.emulator.webapi import Request, WebApi

    emulator = Emulator()
    api = WebApi(emulator)
    kind = {"@odata.type": "Microsoft.Dynamics.CRM.new_payment"}
    targets = [{**kind, "new_name": f"Invoice {n}", "new_amount": 19.99} for n in range(ROWS)]
    url = "/api/data/v9.2/new_payments/Microsoft.Dynamics.CRM.CreateMultiple"
    request = Request("POST", url, {}, json.dumps({"Targets": targets}).encode())
    ours = lambda: api.handle(request)  # noqa: E731
    assert ours().status == 200
    floor = bare_table(emulator)
    rounds = [(timed(ours), timed(floor)) for _ in range(ROUNDS)]
    mine, other = median(each[0] for each in rounds), median(each[1] for each in rounds)
    print(f"CreateMultiple of {ROWS}: {mine:.1f} ms, executemany {other:.1f} ms, {mine / other:.2f}x (target <= 3)")


def bare_table(emulator: Any) -> Callable[[], object]:
    """Writes as many rows of the same columns and indexes as the emulator did, in one transaction."""
    from bare_sqlite import bare_database

    store = emulator._engine.store
    bare = bare_database(store)
    names = [row[1] for row in store.execute('PRAGMA table_info("new_payment")')]
    row = store.execute(f"SELECT {', '.join(names)} FROM new_payment LIMIT 1").fetchone()
    written = {name: value for name, value in zip(names, row, strict=True) if value is not None}
    insert = f"INSERT INTO new_payment ({', '.join(written)}) VALUES ({', '.join('?' * len(written))})"

    def write() -> None:
        rows = [tuple((written | {"new_paymentid": new_guid()}).values()) for _ in range(ROWS)]
        bare.execute("BEGIN")
        bare.executemany(insert, rows)
        bare.execute("COMMIT")

    return write


def timed(action: Callable[[], object]) -> float:
    """Milliseconds."""
    start = perf_counter()
    action()
    return (perf_counter() - start) * 1e3


def main() -> None:
    match sys.argv[1:]:
        case ["emulator"]:
            serve_emulator()
        case ["bare"]:
            serve(bare_application())
        case _:
            over_http()
            create_multiple()


if __name__ == "__main__":
    main()
