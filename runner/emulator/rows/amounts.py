"""Sets the currency of a row, rounds its amounts, and computes their values in the base currency.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/transaction-currency-currency-entity
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from dataverse_client.types import EntityReference, Money
from runner.emulator.errors import IncorrectAttributeValueType, InvalidArgument
from runner.emulator.metadata.model import Column, Table
from runner.emulator.rows.facts import Currency, Facts

#: The lookup to the currency of a row's amounts.
CURRENCY = "transactioncurrencyid"
_QUANTA = tuple(Decimal(1).scaleb(-places) for places in range(11))


class Amounts:
    """The money columns of one table that have a base column."""

    def __init__(self, table: Table, facts: Facts) -> None:
        columns = table.columns
        self._table = table.logical_name
        self._facts = facts
        self._columns = {c.logical_name: c for c in columns.values() if f"{c.logical_name}_base" in columns}
        self._touched_by = frozenset(self._columns) | {CURRENCY}
        #: Columns of the current row that :meth:`complete_update` needs when a change concerns amounts.
        self.needed = (CURRENCY, "exchangerate", *self._columns)
        self._generation = -1
        self._prices: dict[str, _Prices] = {}

    @classmethod
    def of(cls, table: Table, facts: Facts) -> Amounts | None:
        """The amounts of a table; None when it has no money columns."""
        amounts = cls(table, facts)
        return amounts if amounts._columns else None

    def are_touched(self, attributes: Mapping[str, Any]) -> bool:
        return not self._touched_by.isdisjoint(attributes)

    def complete_create(self, attributes: dict[str, Any], user_id: str) -> Currency:
        """Set the currency if it is missing, round the amounts, and set their base values."""
        prices = self._prices_of(attributes, attributes.get(CURRENCY), user_id)
        for amount in prices.amounts:
            if amount.name in attributes:
                amount.complete(attributes, attributes[amount.name])
        return prices.currency

    def complete_update(self, attributes: dict[str, Any], current: Mapping[str, Any], user_id: str) -> None:
        """Set the currency and its rate, and the base value of every amount whose value or rate changes."""
        self._refuse_amounts_of_no_currency(attributes, current)
        prices = self._prices_of(attributes, attributes.get(CURRENCY) or current.get(CURRENCY), user_id)
        rate = prices.currency.exchange_rate
        repriced = current and current.get("exchangerate") != rate
        amounts = {**current, **attributes} if repriced else attributes
        for amount in prices.amounts:
            if amount.name in amounts:
                amount.complete(attributes, amounts[amount.name])
        attributes["exchangerate"] = rate

    def _refuse_amounts_of_no_currency(self, attributes: Mapping[str, Any], current: Mapping[str, Any]) -> None:
        if attributes.get(CURRENCY, "untouched") is None:
            row = {**current, **attributes}
            if any(row.get(name) is not None for name in self._columns):
                raise InvalidArgument(f"The currency cannot be null, because the {self._table} has amounts.")

    def _prices_of(self, attributes: dict[str, Any], reference: Any, user_id: str) -> _Prices:
        """The money columns in that currency. Without one, ``attributes`` get the user's."""
        if reference is None:
            reference = attributes[CURRENCY] = self._facts.default_currency(user_id).reference
        elif not isinstance(reference, EntityReference):
            raise IncorrectAttributeValueType.of(self._table, CURRENCY, reference, "an EntityReference")
        elif reference.logical_name != "transactioncurrency":
            raise InvalidArgument.wrong_target(self._table, CURRENCY, ("transactioncurrency",), reference.logical_name)
        if self._generation != self._facts.store.generation:
            self._generation, self._prices = self._facts.store.generation, {}
        try:
            return self._prices[reference.id]
        except KeyError:
            prices = self._prices[reference.id] = self._made(self._facts.currency(reference.id))
            return prices

    def _made(self, currency: Currency) -> _Prices:
        base, rate = self._facts.base_currency, None if currency.is_base else currency.exchange_rate
        amounts = tuple(
            _Amount(self._table, name, f"{name}_base", self._quantum(each, currency), rate, self._quantum(each, base))
            for name, each in self._columns.items()
        )
        return _Prices(currency, amounts)

    def _quantum(self, column: Column, currency: Currency) -> Decimal:
        if column.precision_source == 0:
            return _QUANTA[column.precision or 0]
        return _QUANTA[currency.precision if column.precision_source == 2 else self._facts.pricing_precision]


@dataclass(frozen=True, slots=True)
class _Amount:
    """A money column and its base value, with the places each is rounded to in one currency."""

    table: str
    name: str
    base_name: str
    quantum: Decimal
    #: None for the base currency itself.
    rate: Decimal | None
    base_quantum: Decimal

    def complete(self, attributes: dict[str, Any], amount: Any) -> None:
        """Round the amount to the column's places in this currency, and set its base value."""
        if amount is None:
            attributes[self.base_name] = None
            return
        if not isinstance(amount, Money):
            raise IncorrectAttributeValueType.of(self.table, self.name, amount, "Money")
        rounded = _round(amount.value, self.quantum)
        if rounded is not amount.value:
            amount = Money(rounded)
            if self.name in attributes:
                attributes[self.name] = amount
        if self.rate is not None:
            amount = Money(_quantized(rounded / self.rate, self.base_quantum))
        attributes[self.base_name] = amount


@dataclass(frozen=True, slots=True)
class _Prices:
    """The money columns in one currency."""

    currency: Currency
    amounts: tuple[_Amount, ...]


def _round(amount: Decimal, quantum: Decimal) -> Decimal:
    """Round an amount. One with no more decimal places than allowed stays unchanged."""
    try:
        return _quantized(amount, quantum) if amount % quantum else amount
    except InvalidOperation:  # too many digits: the check of the column's range refuses it
        return amount


def _quantized(amount: Decimal, quantum: Decimal) -> Decimal:
    """Round half away from zero."""
    try:
        return amount.quantize(quantum, ROUND_HALF_UP)
    except InvalidOperation:  # as above
        return amount
