"""Which privileges of a security role the requests of a client need: seen on the way, not believed.

Source: https://learn.microsoft.com/power-platform/admin/security-roles-privileges
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from runner.emulator.metadata.model import Metadata, Table

ACT_ON_BEHALF = "prvActOnBehalfOfAnotherUser"
#: Part of an address -> what of the customizations it reads.
_METADATA = {
    "EntityDefinitions": "Entity",
    "Attributes": "Attribute",
    "ManyToOneRelationships": "Relationship",
    "GlobalOptionSetDefinitions": "OptionSet",
}
_VERBS = {"GET": "Read", "POST": "Create", "PATCH": "Write", "PUT": "Write", "DELETE": "Delete"}
_OPERATION = re.compile(r"^(GET|POST|PATCH|PUT|DELETE) (\S+) HTTP/1\.1\r\n(.*?)(?=\r\n--|\Z)", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"/api/data/v9\.2/(\$?\w+)([^?]*)(?:\?(.*))?$")


class Watch:
    """An ASGI application that notes in ``needed`` what a Dataverse with security roles would have asked for.

    ``unknown`` are requests it cannot judge.
    """

    def __init__(self, app: Any, metadata: Metadata) -> None:
        self.needed: set[str] = set()
        self.unknown: set[str] = set()
        self._app = app
        self._metadata = metadata

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def kept() -> Any:
            message = await receive()
            body.append(message.get("body", b""))
            return message

        async def noted(message: Any) -> None:
            # Before the answer, so that nobody who has it finds its request unnoted.
            if message["type"] == "http.response.start":
                self._note(scope, b"".join(body).decode())
            await send(message)

        body: list[bytes] = []
        await (self._app(scope, kept, noted) if scope["type"] == "http" else self._app(scope, receive, send))

    def _note(self, scope: Mapping[str, Any], body: str) -> None:
        if {b"callerobjectid", b"mscrmcallerid"} & {name.lower() for name, _ in scope["headers"]}:
            self.needed.add(ACT_ON_BEHALF)
        self.needed.update(self._asked(scope["method"], f"{scope['path']}?{scope['query_string'].decode()}", body))

    def _asked(self, method: str, address: str, body: str) -> Iterator[str]:
        match = _ADDRESS.search(unquote(address))
        if match is None:
            return
        name, _, query = match.groups()
        if name == "$batch":
            for inner, inner_address, content in _OPERATION.findall(body):
                yield from self._asked(inner, inner_address, content.partition("\r\n\r\n")[2])
        elif name.endswith("Definitions") and method == "GET":
            yield from (f"prvRead{kind}" for part, kind in _METADATA.items() if part in address)
        elif name in self._metadata.by_entity_set:
            table = self._metadata.by_entity_set[name]
            yield f"prv{_VERBS[method]}{table.logical_name}"
            yield from self._linked(table, body)
            yield from self._expanded(table, query or "")
        elif name not in ("WhoAmI", "RetrieveCurrentOrganization"):
            self.unknown.add(f"{method} {name}")

    def _linked(self, table: Table, body: str) -> Iterator[str]:
        """A lookup that is set appends this row, and appends to the other."""
        for name, value in (json.loads(body) if body.lstrip().startswith("{") else {}).items():
            if name.endswith("@odata.bind") and value:
                target = self._metadata.by_entity_set[re.search(r"(\w+)\([^/]*$", value)[1]]
                yield f"prvAppend{table.logical_name}"
                yield f"prvAppendTo{target.logical_name}"

    def _expanded(self, table: Table, query: str) -> Iterator[str]:
        for expanded in parse_qs(query).get("$expand", []):
            self.unknown.add(f"$expand={expanded} of {table.logical_name}")
            yield f"prvRead{table.logical_name}"
