"""Computes formatted values: the text that a form shows, in US English and UTC.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/query/select-columns#formatted-values
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from dataverse_client.types import AliasedValue, Entity, EntityReference, Money, OptionSetValue
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.metadata.model import AttributeType, Column, Table
from runner.emulator.rows.facts import Currency, Facts

Format = Callable[[Any, Entity], "str | None"]


_NO_ROW = Entity("")
_QUANTA = tuple(Decimal(1).scaleb(-places) for places in range(11))


class Formats:
    """Fills the formatted values and lookup names of one table's rows."""

    def __init__(self, table: Table, facts: Facts) -> None:
        self._facts = facts
        self._formats = {
            column.logical_name: formatter
            for column in table.columns.values()
            if (formatter := self._formatter(column)) is not None
        }
        self._lookups = frozenset(column.logical_name for column in table.columns.values() if column.is_lookup)

    def apply(self, entity: Entity) -> None:
        """Fill ``formatted_values`` for the columns the row has."""
        formatted = entity.formatted_values
        formats = self._formats
        for name, value in entity.attributes.items():
            formatter = formats.get(name)
            if formatter is not None and value is not None and type(value) is not AliasedValue:
                text = formatter(value, entity)
                if text is not None:
                    formatted[name] = text

    def shown(self, column: str, value: Any, row: Entity) -> tuple[Any, str | None]:
        """A value of the row with the name of the row it refers to, and its formatted value."""
        if type(value) is EntityReference and value.name is None:
            value = self._facts.named(value)
        formatter = self._formats.get(column)
        return value, formatter(value, row) if formatter else None

    def text(self, column: str, value: Any) -> str | None:
        """The formatted value of a single column; an amount is taken to be in the base currency."""
        if type(value) is int:  # may be a count, of a column of any type
            return _whole(value, _NO_ROW)
        formatter = self._formats.get(column)
        return formatter(value, _NO_ROW) if formatter else None

    def name_lookups(self, entity: Entity) -> None:
        """Give every lookup the name of the row it refers to."""
        attributes = entity.attributes
        for column in self._lookups & attributes.keys():
            reference = attributes[column]
            if type(reference) is EntityReference and reference.name is None:
                attributes[column] = self._facts.named(reference)

    def _formatter(self, column: Column) -> Format | None:
        kind = column.type
        if kind is AttributeType.MONEY:
            return self._money_formatter(column)
        if kind is AttributeType.DATE_TIME:
            return _date if column.shows_date_only else _moment
        if kind in (AttributeType.DECIMAL, AttributeType.DOUBLE):
            return _number_formatter(column.precision or 0)
        if column.is_lookup:
            return self._lookup
        if kind is AttributeType.MULTI_SELECT_PICKLIST:
            return _choices_formatter(column)
        if column.is_choice:
            return _choice_formatter(column)
        return _SIMPLE.get(kind) or (_boolean_formatter(column) if kind is AttributeType.BOOLEAN else None)

    def _lookup(self, value: EntityReference, _: Entity) -> str | None:
        return value.name if value.name is not None else self._facts.name(value)

    def _money_formatter(self, column: Column) -> Format:
        def money(value: Money, entity: Entity) -> str:
            reference = entity.attributes.get("transactioncurrencyid")
            currency = self._currency(None if column.base_of else reference)
            places = currency.precision if column.precision_source == 2 else column.precision or 0
            sign = "-" if value.value < 0 else ""
            return f"{sign}{currency.symbol}{_grouped(abs(value.value), places)}"

        return money

    def _currency(self, reference: EntityReference | None) -> Currency:
        if reference is None:
            return self._facts.base_currency
        try:
            return self._facts.currency(reference.id)
        except ObjectDoesNotExist:  # a Target that is not validated yet
            return self._facts.base_currency


def _grouped(value: Decimal, places: int) -> str:
    return f"{value.quantize(_QUANTA[places], ROUND_HALF_UP):,}"


def _number_formatter(places: int) -> Format:
    return lambda value, _: _grouped(value, places)


def _whole(value: int, _: Entity) -> str:
    return f"{value:,}"


def _date(value: date, _: Entity) -> str:
    return f"{value.month}/{value.day}/{value.year}"


def _moment(value: datetime, _: Entity) -> str:
    half = "AM" if value.hour < 12 else "PM"
    return f"{value.month}/{value.day}/{value.year} {value.hour % 12 or 12}:{value.minute:02} {half}"


def _labels(column: Column) -> Mapping[int, str]:
    return {option.value: option.label for option in column.options}


def _choice_formatter(column: Column) -> Format:
    labels = _labels(column)
    return lambda value, _: labels.get(value.value)


def _choices_formatter(column: Column) -> Format:
    labels = _labels(column)

    def choices(values: Iterable[OptionSetValue], _: Entity) -> str:
        return "; ".join(labels.get(value.value, str(value.value)) for value in values)

    return choices


def _boolean_formatter(column: Column) -> Format:
    labels = _labels(column)
    return lambda value, _: labels.get(int(value))


_SIMPLE: Mapping[AttributeType, Format] = {AttributeType.INTEGER: _whole, AttributeType.BIG_INT: _whole}
