"""What Dataverse itself does to a row on its way to the database: one set of rules per table, made once.

Owner, creation and modification, currency and base amounts, state and status reason, derived names. They change the
request's Target in place, as the platform does: stage 40 sees a Target with these columns in it.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/entity-metadata
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from dataverse_client.types import Entity, EntityReference, Money, OptionSetValue, guid, new_guid
from runner.emulator.errors import IncorrectAttributeValueType, InvalidArgument, InvalidStateCodeStatusCode
from runner.emulator.facts import Currency, Facts
from runner.emulator.metadata.model import AttributeType, Column, Ownership, Table

_NAME_PARTS = ("firstname", "middlename", "lastname")


@dataclass(frozen=True, slots=True)
class Call:
    """Who writes, and when (whole seconds)."""

    user: EntityReference
    now: datetime


class Rules:
    """The rules of one table."""

    def __init__(self, table: Table, facts: Facts) -> None:
        columns = table.columns
        self.table = table
        self._facts = facts
        self.name = table.logical_name
        self.primary_id = table.primary_id_attribute
        self._defaults = {c.logical_name: default for c in columns.values() if (default := _default(c)) is not None}
        self._no_create = frozenset(c.logical_name for c in columns.values() if not c.is_valid_for_create)
        self._no_update = frozenset(c.logical_name for c in columns.values() if not c.is_valid_for_update)
        self.money = tuple(
            c for c in columns.values() if c.type is AttributeType.MONEY and f"{c.logical_name}_base" in columns
        )
        self._touches_money = frozenset(c.logical_name for c in self.money) | {"transactioncurrencyid"}
        self._states = _States(table) if "statecode" in columns else None
        self._name_parts = tuple(part for part in _NAME_PARTS if part in columns) if "fullname" in columns else ()
        self._business_owned = table.ownership is Ownership.BUSINESS and "owningbusinessunit" in columns
        self._audited = "modifiedon" in columns

    def add_defaults(self, target: Entity) -> None:
        """What a Target has before stage 20: an id, and the default values of choices and the like."""
        attributes = target.attributes
        id = target.id or attributes.get(self.primary_id)
        target.id = attributes[self.primary_id] = guid(id) if id else new_guid()
        for name, value in self._defaults.items():
            if name not in attributes:
                attributes[name] = value

    def complete_create(self, target: Entity, call: Call) -> None:
        """What a Target has after stage 30 of Create."""
        attributes = target.attributes
        if not self._no_create.isdisjoint(attributes):
            self._drop(attributes, self._no_create)
        self._sign_created(attributes, call)
        self._own(attributes, call.user)
        if self.money:
            self._complete_money(attributes, {}, call.user.id)
        if self._states:
            self._states.complete_create(attributes)
        if self._name_parts:
            attributes["fullname"] = self._full_name(attributes)

    def needs_current(self, target: Entity) -> tuple[str, ...]:
        """Columns of the present row without which :meth:`complete_update` cannot judge this Target."""
        attributes = target.attributes
        needed: list[str] = []
        if self.money and not self._touches_money.isdisjoint(attributes):
            needed += [*self._touches_money]
        if self._states and "statuscode" in attributes and "statecode" not in attributes:
            needed.append("statecode")
        if not set(self._name_parts).isdisjoint(attributes):
            needed += self._name_parts
        return tuple(needed)

    def complete_update(self, target: Entity, current: Mapping[str, Any], call: Call) -> None:
        """What a Target has after stage 30 of Update. ``current`` holds what :meth:`needs_current` asked for."""
        attributes = target.attributes
        if not self._no_update.isdisjoint(attributes):
            self._drop(attributes, self._no_update - {self.primary_id})
        if self._audited:
            attributes["modifiedon"] = call.now
            attributes["modifiedby"] = call.user
            attributes["modifiedonbehalfby"] = None
        if attributes.get("ownerid") is not None:
            self._own(attributes, call.user)
        if self.money and not self._touches_money.isdisjoint(attributes):
            self._complete_money(attributes, current, call.user.id)
        if self._states:
            self._states.complete_update(target, current)
        if not set(self._name_parts).isdisjoint(attributes):
            attributes["fullname"] = self._full_name({**current, **attributes})

    @staticmethod
    def _drop(attributes: dict[str, Any], names: frozenset[str]) -> None:
        """Columns only the platform writes are ignored when a request carries them."""
        for name in names & attributes.keys():
            del attributes[name]

    def _sign_created(self, attributes: dict[str, Any], call: Call) -> None:
        if not self._audited:
            return
        attributes["createdon"] = attributes["modifiedon"] = call.now
        attributes["createdby"] = attributes["modifiedby"] = call.user
        attributes["modifiedonbehalfby"] = None
        if attributes.get("overriddencreatedon") is not None:
            # An imported row keeps its own date; the column then tells when it was imported.
            attributes["createdon"] = attributes["overriddencreatedon"]
            attributes["overriddencreatedon"] = call.now

    def _own(self, attributes: dict[str, Any], user: EntityReference) -> None:
        if self.table.ownership is Ownership.USER:
            owner = attributes.get("ownerid") or user
            if not isinstance(owner, EntityReference) or owner.logical_name not in ("systemuser", "team"):
                raise IncorrectAttributeValueType.of(self.name, "ownerid", owner, "a reference to a user or team")
            attributes["ownerid"] = owner
            attributes["owningbusinessunit"] = self._facts.business_unit(owner)
        elif self._business_owned and attributes.get("owningbusinessunit") is None:
            attributes["owningbusinessunit"] = self._facts.business_unit(user)

    def _complete_money(self, attributes: dict[str, Any], current: Mapping[str, Any], user_id: str) -> None:
        reference = attributes.get("transactioncurrencyid") or current.get("transactioncurrencyid")
        if reference is None:
            currency = self._facts.default_currency(user_id)
            attributes["transactioncurrencyid"] = EntityReference("transactioncurrency", currency.id)
        elif isinstance(reference, EntityReference):
            currency = self._facts.currency(reference.id)
        else:
            raise IncorrectAttributeValueType.of(self.name, "transactioncurrencyid", reference, "an EntityReference")
        attributes["exchangerate"] = currency.exchange_rate
        for column in self.money:
            name = column.logical_name
            amount = attributes.get(name) if name in attributes else current.get(name)
            if amount is not None:
                self._complete_amount(attributes, column, amount, currency)
            elif name in attributes:
                attributes[f"{name}_base"] = None

    def _complete_amount(self, attributes: dict[str, Any], column: Column, amount: Any, currency: Currency) -> None:
        """Round to the places the column has in this currency, and convert.

        Source: https://learn.microsoft.com/power-apps/developer/data-platform/transaction-currency-currency-entity
        """
        name = column.logical_name
        if not isinstance(amount, Money):
            raise IncorrectAttributeValueType.of(self.name, name, amount, "Money")
        rounded = _round(amount.value, self._places(column, currency))
        if name in attributes:
            attributes[name] = Money(rounded)
        base = rounded
        if currency.exchange_rate != 1:
            base = _round(rounded / currency.exchange_rate, self._places(column, self._facts.base_currency))
        attributes[f"{name}_base"] = Money(base)

    def _places(self, column: Column, currency: Currency) -> int:
        if column.precision_source == 2:
            return currency.precision
        if column.precision_source == 1:
            return self._facts.pricing_precision
        return column.precision or 0

    def _full_name(self, attributes: Mapping[str, Any]) -> str | None:
        return " ".join(str(attributes[part]) for part in self._name_parts if attributes.get(part)) or None


class _States:
    """State and status reason of one table: each status reason belongs to one state."""

    def __init__(self, table: Table) -> None:
        self._table = table.logical_name
        self._schema_name = table.schema_name
        self._state_of = {option.value: option.state for option in table.columns["statuscode"].options}
        self._default_status: dict[int | None, OptionSetValue] = {}
        for option in table.columns["statuscode"].options:
            self._default_status.setdefault(option.state, OptionSetValue(option.value))
        states = table.columns["statecode"].options
        self._labels = {option.value: option.label for option in states}
        self._first = OptionSetValue(states[0].value)

    def complete_create(self, attributes: dict[str, Any]) -> None:
        state = attributes.get("statecode")
        if state is None:
            state = attributes["statecode"] = self._first
        status = attributes.get("statuscode")
        if status is None:
            attributes["statuscode"] = self._status_for(state)
        else:
            self._check(state, status, None)

    def complete_update(self, target: Entity, current: Mapping[str, Any]) -> None:
        attributes = target.attributes
        if "statecode" not in attributes and "statuscode" not in attributes:
            return
        state = attributes.get("statecode") or current.get("statecode", self._first)
        status = attributes.get("statuscode")
        if status is None:
            attributes["statuscode"] = self._status_for(state)
        else:
            self._check(state, status, target.id)

    def _status_for(self, state: Any) -> OptionSetValue:
        """The first status reason of a state is its default."""
        try:
            return self._default_status[_number(self._table, "statecode", state)]
        except KeyError:
            raise InvalidStateCodeStatusCode(f"{state.value} is not a valid state code on {self._table}.") from None

    def _check(self, state: Any, status: Any, id: str | None) -> None:
        number = _number(self._table, "statuscode", status)
        state_number = _number(self._table, "statecode", state)
        if state_number not in self._labels or self._state_of.get(number) != state_number:
            label = self._labels.get(state_number, state_number)
            row = f" with Id {id}" if id else ""
            raise InvalidStateCodeStatusCode(
                f"{number} is not a valid status code for state code {self._schema_name}State.{label} "
                f"on {self._table}{row}."
            )


def _number(table: str, column: str, value: Any) -> int:
    if not isinstance(value, OptionSetValue):
        raise IncorrectAttributeValueType.of(table, column, value, "an OptionSetValue")
    return value.value


def _default(column: Column) -> Any:
    """What the platform gives a new row's column, if anything. State and status come later, at stage 30."""
    value = column.default_value
    if value is None or column.type in (AttributeType.STATE, AttributeType.STATUS):
        return None
    return OptionSetValue(int(value)) if column.is_choice else value


def _round(value: Decimal, places: int) -> Decimal:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise InvalidArgument(f"{value} is not an amount of money.")
    return value if -exponent <= places else value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
