"""The actions that change the options of a local or global choice, and the status reasons of a table.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-optionsets
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from runner.emulator.errors import AttributeNotFound, EntityNotFound
from runner.emulator.metadata.model import Column, Metadata, Option
from runner.emulator.webapi.definition_payloads import FIRST_OPTION, label_text
from runner.emulator.webapi.exchange import Exchange
from runner.emulator.webapi.faults import BadRequest

_Body: TypeAlias = "dict[str, Any]"
_Options: TypeAlias = "dict[int, str]"


@dataclass(frozen=True, slots=True)
class _Choice:
    """The global choice, or the column, whose options a request changes."""

    name: str
    table: str | None
    options: _Options

    @classmethod
    def of(cls, metadata: Metadata, body: Mapping[str, Any]) -> _Choice:
        """The choice that an action's body names. Raises BadRequest, EntityNotFound or AttributeNotFound."""
        name = body.get("OptionSetName")
        if name:
            if name not in metadata.option_sets:
                raise BadRequest(f"There is no global choice '{name}'.")
            return cls(name, None, _labels(metadata.option_sets[name].options))
        column, table = _column(metadata, body)
        if column.option_set is not None:
            return cls(column.option_set, None, _labels(column.options))
        return cls(column.logical_name, table, _labels(column.options))

    def require(self, value: int) -> int:
        """``value``, if it is one of the options. Raises BadRequest."""
        if value not in self.options:
            raise BadRequest(f"'{self.name}' has no option with the value {value}.")
        return value

    def keep(self, exchange: Exchange, options: _Options) -> None:
        with exchange.emulator.customizing() as customizations:
            if self.table is None:
                customizations.update_option_set(self.name, {"options": options})
            else:
                customizations.update_column(self.table, self.name, {"options": options})


def _labels(options: tuple[Option, ...]) -> _Options:
    return {option.value: option.label for option in options}


def _column(metadata: Metadata, body: Mapping[str, Any]) -> tuple[Column, str]:
    table, name = str(body.get("EntityLogicalName")), str(body.get("AttributeLogicalName"))
    if table not in metadata.tables:
        raise EntityNotFound.named(table)
    column = metadata.tables[table].columns.get(name)
    if column is None:
        raise AttributeNotFound.named(table, name)
    return column, table


def _insert(exchange: Exchange, body: _Body) -> Mapping[str, Any]:
    choice = _Choice.of(exchange.emulator.metadata, body)
    value = _new_value(body, choice.options)
    choice.keep(exchange, {**choice.options, value: label_text(body.get("Label")) or str(value)})
    return {"NewOptionValue": value}


def _new_value(body: Mapping[str, Any], taken: Mapping[int, Any]) -> int:
    """The value in the request, or the next free one. Raises BadRequest when it is taken."""
    if body.get("Value") is None:
        return max((FIRST_OPTION - 1, *taken)) + 1
    value = _value(body)
    if value in taken:
        raise BadRequest(f"The value {value} is taken by another option.")
    return value


def _value(body: Mapping[str, Any]) -> int:
    value = body.get("Value")
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"Value must be a whole number, not '{value}'.")
    return value


def _update(exchange: Exchange, body: _Body) -> None:
    choice = _Choice.of(exchange.emulator.metadata, body)
    value = choice.require(_value(body))
    text = label_text(body.get("Label"))
    if text:
        choice.keep(exchange, {**choice.options, value: text})


def _delete(exchange: Exchange, body: _Body) -> None:
    choice = _Choice.of(exchange.emulator.metadata, body)
    gone = choice.require(_value(body))
    choice.keep(exchange, {value: text for value, text in choice.options.items() if value != gone})


def _order(exchange: Exchange, body: _Body) -> None:
    choice = _Choice.of(exchange.emulator.metadata, body)
    values = body.get("Values")
    if not isinstance(values, list) or sorted(map(str, values)) != sorted(map(str, choice.options)):
        raise BadRequest(f"Values must contain each value of '{choice.name}' once: {sorted(choice.options)}.")
    choice.keep(exchange, {value: choice.options[value] for value in values})


# --- states ---------------------------------------------------------------------------------------------------


def _insert_status(exchange: Exchange, body: _Body) -> Mapping[str, Any]:
    status, table = _column(exchange.emulator.metadata, {"AttributeLogicalName": "statuscode", **body})
    states = _states(exchange.emulator.metadata, table)
    state = states.get(body.get("StateCode"))
    if state is None:
        raise BadRequest(f"StateCode must be one of {sorted(states)}, not '{body.get('StateCode')}'.")
    value = _new_value(body, _labels(status.options))
    state["reasons"][value] = label_text(body.get("Label")) or str(value)
    with exchange.emulator.customizing() as customizations:
        customizations.update_states(table, states)
    return {"NewOptionValue": value}


def _update_state(exchange: Exchange, body: _Body) -> None:
    _, table = _column(exchange.emulator.metadata, {"AttributeLogicalName": "statecode", **body})
    states, value = _states(exchange.emulator.metadata, table), _value(body)
    if value not in states:
        raise BadRequest(f"Value must be one of {sorted(states)}, not {value}.")
    states[value]["label"] = label_text(body.get("Label")) or states[value]["label"]
    first = body.get("DefaultStatusCode")
    if first is not None:
        # The first status reason of a state is its default.
        reasons = states[value]["reasons"]
        states[value]["reasons"] = {first: reasons.pop(first, str(first)), **reasons}
    with exchange.emulator.customizing() as customizations:
        customizations.update_states(table, states)


def _states(metadata: Metadata, table: str) -> dict[Any, dict[str, Any]]:
    """The states in the form of a table's YAML file."""
    columns = metadata.tables[table].columns
    if "statecode" not in columns:
        raise AttributeNotFound.named(table, "statecode")
    reasons = columns["statuscode"].options
    return {
        state.value: {"label": state.label, "reasons": {r.value: r.label for r in reasons if r.state == state.value}}
        for state in columns["statecode"].options
    }


#: Actions by name: they take the exchange and the body, and return the results or, for 204 No Content, None.
OPTION_ACTIONS: Mapping[str, Callable[[Exchange, _Body], Mapping[str, Any] | None]] = {
    "DeleteOptionValue": _delete,
    "InsertOptionValue": _insert,
    "InsertStatusValue": _insert_status,
    "OrderOption": _order,
    "UpdateOptionValue": _update,
    "UpdateStateValue": _update_state,
}
