"""The messages that read and set the seed and the next number of an autonumber column.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/create-auto-number-attributes#set-a-seed-value
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from runner.emulator.call import Call
from runner.emulator.errors import AttributeNotFound, EntityNotFound, InvalidArgument, NotAnAutoNumber
from runner.emulator.messages.environment import Environment, Handler
from runner.emulator.messages.parameters import parameter
from runner.emulator.pipeline.operation import NO_ENTITY, Operation
from runner.emulator.rows.auto_numbers import following_number, seed, set_seed
from runner.emulator.storage.store import Store


def _set_seed(store: Store, sequence: str, parameters: dict[str, Any]) -> dict[str, Any]:
    number = parameter(parameters, "Value", int)
    if number < 0:
        raise InvalidArgument(f"Parameter 'Value' is {number}; a seed must be 0 or greater.")
    set_seed(store, sequence, number)
    return {}


def _seed(store: Store, sequence: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"AutoNumberSeedValue": seed(store, sequence)}


def _next_value(store: Store, sequence: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"NextAutoNumberValue": str(following_number(store, sequence))}


_MEANINGS: dict[str, Callable[[Store, str, dict[str, Any]], dict[str, Any]]] = {
    "SetAutoNumberSeed": _set_seed,
    "GetAutoNumberSeed": _seed,
    "GetNextAutoNumberValue": _next_value,
}


def _perform(name: str, engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    def main(operation: Operation) -> dict[str, Any]:
        return _MEANINGS[name](engine.store, _sequence(engine, operation.parameters), operation.parameters)

    return engine.pipe(Operation(name, NO_ENTITY, call, parameters, main))


def _sequence(engine: Environment, parameters: dict[str, Any]) -> str:
    """The name of the column's sequence. Raises EntityNotFound, AttributeNotFound or NotAnAutoNumber."""
    name, attribute = parameter(parameters, "EntityName", str), parameter(parameters, "AttributeName", str)
    table = engine.store.metadata.tables.get(name)
    if table is None:
        raise EntityNotFound.named(name)
    column = table.columns.get(attribute)
    if column is None:
        raise AttributeNotFound.named(name, attribute, table.columns)
    if column.auto_number_format is None:
        raise NotAnAutoNumber.of(name, attribute)
    return f"{name}.{attribute}"


AUTO_NUMBER_MESSAGES: tuple[tuple[str, Handler], ...] = tuple((name, partial(_perform, name)) for name in _MEANINGS)
