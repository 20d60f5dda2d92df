"""The messages of files as actions: rows by their type and id, bytes in Base64.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-column-data
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from runner.emulator.messages.files import FILE_MESSAGES
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest
from runner.emulator.webapi.row_parameters import reference


def _bytes(exchange: Exchange, value: Any) -> bytes:
    return b64decode(value, validate=True)


_READERS: Mapping[str, Callable[[Exchange, Any], Any]] = {"Target": reference, "BlockData": _bytes}


def _call(name: str, exchange: Exchange, body: dict[str, Any]) -> Mapping[str, Any] | None:
    parameters = {key: _read(exchange, name, key, value) for key, value in body.items() if "@" not in key}
    results = exchange.execute(name, **parameters)
    return {key: _written(value) for key, value in results.items()} or None


def _read(exchange: Exchange, action: str, name: str, value: Any) -> Any:
    try:
        return _READERS[name](exchange, value) if name in _READERS else value
    except (ValueError, TypeError, KeyError):
        expected = "the row's id and @odata.type" if name == "Target" else "Base64"
        raise BadRequest(f"{action}: the parameter '{name}' must be {expected}.") from None


def _written(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, bytes) else value


FILE_ACTIONS: Mapping[str, Callable[[Exchange, dict[str, Any]], Mapping[str, Any] | None]] = {
    name: partial(_call, name) for name, _ in FILE_MESSAGES
}
