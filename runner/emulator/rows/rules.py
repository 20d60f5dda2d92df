"""The rules that Dataverse applies to a row before it is stored, one set for each table.

They set owner, creation and modification, currency and base amounts, state and status reason, and names. They change
the request's Target in place, as the platform does: at stage 40 it includes these columns.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/entity-metadata
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, OptionSetValue, guid
from runner.emulator.errors import IncorrectAttributeValueType, InvalidArgument, InvalidStateCodeStatusCode
from runner.emulator.metadata.model import AttributeType, Column, Ownership, Table
from runner.emulator.rows.amounts import CURRENCY, Amounts
from runner.emulator.rows.auto_numbers import AutoNumber
from runner.emulator.rows.facts import Currency, Facts
from runner.emulator.rows.files import not_settable
from runner.emulator.seed import ORGANIZATION_ID
from runner.emulator.storage.store import Store

_REQUESTABLE = frozenset({"ownerid", "statecode", "statuscode", "overriddencreatedon"})
_NAME_PARTS = ("firstname", "middlename", "lastname")
_ORGANIZATION = EntityReference("organization", ORGANIZATION_ID)


class Rules:
    """The rules of one table. ``ids`` are for its new rows."""

    def __init__(self, table: Table, facts: Facts, ids: Iterator[str]) -> None:
        columns = table.columns
        self.table = table
        self._facts = facts
        self._ids = ids
        self.name = table.logical_name
        self.primary_id = table.primary_id_attribute
        self._no_create = frozenset(c.logical_name for c in columns.values() if not c.is_valid_for_create)
        defaults = {c.logical_name: default for c in columns.values() if (default := _default(c)) is not None}
        self._defaults = {name: value for name, value in defaults.items() if name not in self._no_create}
        self._platform_defaults = {name: value for name, value in defaults.items() if name in self._no_create}
        self._no_update = frozenset(c.logical_name for c in columns.values() if not c.is_valid_for_update)
        self._no_update -= {self.primary_id}
        self._creation_wishes = _REQUESTABLE & columns.keys()
        self._amounts = Amounts.of(table, facts)
        if self._amounts:
            self._no_create |= {"exchangerate"}
        self._files = table.file_columns
        self._not_written = self._no_create | self._creation_wishes
        #: Lookups that requests set and whose rows no rule here reads.
        self.checked_lookups = frozenset(c.logical_name for c in columns.values() if self._is_checked(c))
        self.auto_numbers = tuple(_auto_numbers(table))
        self._states = _States(table) if "statecode" in columns else None
        self._name_parts = frozenset(_NAME_PARTS) & columns.keys() if "fullname" in columns else frozenset()
        self._user_owned = table.ownership is Ownership.USER
        self._organization_owned = table.ownership is Ownership.ORGANIZATION
        self._unit_column = _unit_column(table)
        self._audited = "modifiedon" in columns
        self._is_currency = self.name == "transactioncurrency"
        self._required = frozenset(c.logical_name for c in columns.values() if c.system_required)

    def _is_checked(self, column: Column) -> bool:
        looked_up = column.type is AttributeType.OWNER or (self._amounts and column.logical_name == CURRENCY)
        return column.is_lookup and column.is_valid_for_create and not looked_up and not column.may_dangle

    def add_defaults(self, target: Entity) -> None:
        """Set the id and the default values that a Target has before stage 20."""
        attributes = target.attributes
        named = attributes.get(self.primary_id)
        id = named if target.id in (None, EMPTY_GUID) else target.id
        target.id = attributes[self.primary_id] = self._id(id) if id else next(self._ids)
        if named and named not in (target.id, EMPTY_GUID):
            self._refuse_another(named, target.id)
        for name, value in self._defaults.items():
            if name not in attributes:
                attributes[name] = value

    def _id(self, text: Any) -> str:
        if text == EMPTY_GUID:
            return next(self._ids)
        try:
            return guid(text)
        except (ValueError, TypeError) as error:
            raise InvalidArgument(f"The id of a row of {self.name} cannot be {text!r}: {error}") from None

    def _refuse_another(self, named: Any, id: str) -> None:
        """Raises InvalidArgument when the primary id column holds another id than the row."""
        if self._id(named) != id:
            raise InvalidArgument(f"Entity Id must be the same as the value set in property bag: {id}, not {named}.")

    def take_requested(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Drop the columns that only the platform writes, and take out those that it sets from the request's values."""
        if self._not_written.isdisjoint(attributes):
            return {}
        self._refuse_files(attributes)
        self._drop(attributes, self._no_create)
        return {name: attributes.pop(name) for name in self._creation_wishes & attributes.keys()}

    def _refuse_files(self, attributes: Mapping[str, Any]) -> None:
        """Raises InvalidArgument for the file of a row that does not exist yet."""
        for name in self._files & attributes.keys():
            if attributes[name] is not None:
                raise not_settable(self.name, name)

    def complete_create(self, attributes: dict[str, Any], user: EntityReference) -> Currency | None:
        """Set the columns that depend on the request's own.

        Returns the row's currency; None when the table has no money columns.
        """
        if self._unit_column and attributes.get(self._unit_column) is None:
            attributes[self._unit_column] = self._facts.business_unit(user)
        if self._required:
            self._refuse_missing(attributes, self._required)
        if self._name_parts:
            attributes["fullname"] = self._full_name(attributes)
        return self._amounts.complete_create(attributes, user.id) if self._amounts else None

    def creation_columns(
        self, requested: dict[str, Any], user: EntityReference, now: datetime, currency: Currency | None
    ) -> dict[str, Any]:
        """The columns that the platform sets on a row created by ``user`` at ``now`` (whole seconds) in that currency.

        ``requested`` are the values that :meth:`take_requested` returned.
        """
        columns = {**self._platform_defaults, **requested}
        if currency is not None:
            columns["exchangerate"] = currency.exchange_rate
        if self._audited:
            self._sign_created(columns, user, now)
        if self._user_owned:
            self._own(columns, columns.get("ownerid") or user)
        if self._organization_owned:
            columns["organizationid"] = _ORGANIZATION
        if self._states:
            self._states.complete_create(columns)
        return columns

    def number(self, store: Store, attributes: dict[str, Any], now: datetime) -> None:
        """Set the autonumber columns for which the request has no value."""
        for auto_number in self.auto_numbers:
            if not attributes.get(auto_number.column):
                attributes[auto_number.column] = auto_number.next_value(store, now)

    def needs_current(self, target: Entity) -> tuple[str, ...]:
        """The columns of the current row that :meth:`complete_update` needs for this Target."""
        attributes = target.attributes
        needed: list[str] = []
        if self._amounts and self._amounts.are_touched(attributes):
            needed += self._amounts.needed
        if self._states and "statuscode" in attributes and "statecode" not in attributes:
            needed.append("statecode")
        if not self._name_parts.isdisjoint(attributes):
            needed += self._name_parts
        return tuple(needed)

    def complete_update(self, target: Entity, current: Mapping[str, Any], user: EntityReference) -> None:
        """Drop the columns that only the platform writes, and set those that depend on the changes.

        ``current`` holds the columns that :meth:`needs_current` returned.
        """
        attributes = target.attributes
        if not self._no_update.isdisjoint(attributes):
            self._drop(attributes, self._no_update)
        if self._required:
            self._refuse_missing(attributes, self._required & attributes.keys())
        if self._is_currency:
            self._refuse_other_rate(target)
        if self._user_owned and "ownerid" in attributes:
            self._own(attributes, attributes["ownerid"])
        if self._amounts and self._amounts.are_touched(attributes):
            self._amounts.complete_update(attributes, current, user.id)
        if self._states:
            self._states.complete_update(target, current)
        if not self._name_parts.isdisjoint(attributes):
            attributes["fullname"] = self._full_name({**current, **attributes})

    def modification_columns(self, user: EntityReference, now: datetime) -> dict[str, Any]:
        """The columns that the platform sets on a row changed by ``user`` at ``now`` (whole seconds)."""
        return {"modifiedon": now, "modifiedby": user, "modifiedonbehalfby": None} if self._audited else {}

    def _refuse_other_rate(self, currency: Entity) -> None:
        """Raises InvalidArgument for a new rate of the base currency, to which all rates relate."""
        base = self._facts.base_currency
        if currency.id == base.id and currency.attributes.get("exchangerate", 1) != 1:
            raise InvalidArgument("The exchange rate of the base currency cannot be modified.")

    def _refuse_missing(self, attributes: Mapping[str, Any], names: frozenset[str]) -> None:
        for name in names:
            if attributes.get(name) in (None, ""):
                raise InvalidArgument(f"Required field '{name}' of '{self.name}' is missing.")

    @staticmethod
    def _drop(attributes: dict[str, Any], names: frozenset[str]) -> None:
        """Remove columns that only the platform writes; a request may contain them, and they are ignored."""
        for name in names & attributes.keys():
            del attributes[name]

    @staticmethod
    def _sign_created(attributes: dict[str, Any], user: EntityReference, now: datetime) -> None:
        attributes["createdon"] = attributes["modifiedon"] = now
        attributes["createdby"] = attributes["modifiedby"] = user
        attributes["modifiedonbehalfby"] = None
        if attributes.get("overriddencreatedon") is not None:
            # An imported row keeps its own date of creation; the column then holds the date of import.
            attributes["createdon"] = attributes["overriddencreatedon"]
            attributes["overriddencreatedon"] = now

    def _own(self, attributes: dict[str, Any], owner: Any) -> None:
        if not isinstance(owner, EntityReference) or owner.logical_name not in ("systemuser", "team"):
            raise IncorrectAttributeValueType.of(self.name, "ownerid", owner, "a reference to a user or team")
        attributes["ownerid"] = owner
        attributes["owningbusinessunit"] = self._facts.business_unit(owner)

    def _full_name(self, attributes: Mapping[str, Any]) -> str | None:
        return " ".join(str(attributes[part]) for part in _NAME_PARTS if attributes.get(part)) or None


class _States:
    """The rules of state and status reason of one table. Each status reason belongs to one state."""

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
        self._first_status = self._default_status[states[0].value]

    def complete_create(self, attributes: dict[str, Any]) -> None:
        state = attributes.get("statecode") or self._first
        status = attributes.get("statuscode")
        if status is not None:
            self._check(state, status, None)
        attributes["statecode"] = state
        attributes["statuscode"] = status or self._status_for(state)

    def complete_update(self, target: Entity, current: Mapping[str, Any]) -> None:
        attributes = target.attributes
        if "statecode" not in attributes and "statuscode" not in attributes:
            return
        state = attributes["statecode"] if "statecode" in attributes else current.get("statecode", self._first)
        if "statuscode" in attributes:
            self._check(state, attributes["statuscode"], target.id)
        else:
            attributes["statuscode"] = self._status_for(state)

    def _status_for(self, state: Any) -> OptionSetValue:
        """The default status reason of a state, which is its first."""
        if state is self._first:
            return self._first_status
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


def _unit_column(table: Table) -> str | None:
    """The column with the business unit in a table that business units own, which users and teams have."""
    names = ("owningbusinessunit", "businessunitid") if table.ownership is Ownership.BUSINESS else ()
    return next((name for name in names if name in table.columns), None)


def _auto_numbers(table: Table) -> Iterator[AutoNumber]:
    for column in table.columns.values():
        if column.auto_number_format is not None:
            yield AutoNumber(table.logical_name, column.logical_name, column.auto_number_format)


def _default(column: Column) -> Any:
    """The default value of a column before stage 20, or None. State and status reason are set at stage 30."""
    value = column.default_value
    if value is None or column.type in (AttributeType.STATE, AttributeType.STATUS):
        return None
    return OptionSetValue(int(value)) if column.is_choice else value
