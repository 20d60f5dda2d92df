"""What the rules need to know of other rows: currencies, business units, users. Kept until such a row changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from dataverse_client.types import EntityReference
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.store import Store

T = TypeVar("T")

#: Tables whose rows are kept here.
KEPT_TABLES = frozenset({"transactioncurrency", "systemuser", "team", "businessunit", "organization"})

_RATE_SCALE = 10


@dataclass(frozen=True, slots=True)
class Currency:
    """``exchange_rate`` is how many units of it one unit of the base currency buys."""

    id: str
    symbol: str
    precision: int
    exchange_rate: Decimal


class Facts:
    """Answers from memory for as long as the store's generation stays the same."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._generation = -1
        self._kept: dict[Any, Any] = {}

    def _keep(self, key: tuple[str, str], read: Callable[[str], T]) -> T:
        if self._generation != self._store.generation:
            self._kept.clear()
            self._generation = self._store.generation
        try:
            kept: T = self._kept[key]
        except KeyError:
            kept = self._kept[key] = read(key[1])
        return kept

    def currency(self, id: str) -> Currency:
        """Raises ObjectDoesNotExist."""
        return self._keep(("currency", id), self._read_currency)

    def business_unit(self, owner: EntityReference) -> EntityReference:
        """The business unit of a user or team. Raises ObjectDoesNotExist."""
        return self._keep((owner.logical_name, owner.id), lambda id: self._read_business_unit(owner.logical_name, id))

    def default_currency(self, user_id: str) -> Currency:
        """The user's own currency, or else the organization's."""
        return self._keep(("default currency", user_id), self._read_default_currency)

    @property
    def base_currency(self) -> Currency:
        return self._keep(("base currency", ""), lambda _: self.currency(self._organization("basecurrencyid")))

    @property
    def pricing_precision(self) -> int:
        """Decimal places of money columns that follow the organization."""
        return self._keep(("pricing precision", ""), lambda _: int(self._organization("pricingdecimalprecision")))

    def name(self, reference: EntityReference) -> str | None:
        """The primary name of a row; None when it has none, or is not there."""
        if reference.logical_name in KEPT_TABLES:
            return self._keep((f"{reference.logical_name} name", reference.id), lambda _: self._read_name(reference))
        return self._read_name(reference)

    def _read_name(self, reference: EntityReference) -> str | None:
        table = self._store.metadata.tables.get(reference.logical_name)
        if table is None or table.primary_name_attribute is None:
            return None
        row = self._store.execute(
            f'SELECT "{table.primary_name_attribute}" FROM "{table.logical_name}"'  # noqa: S608 - metadata's names
            f' WHERE "{table.primary_id_attribute}" = ?',
            (reference.id,),
        ).fetchone()
        return row[0] if row else None

    def _organization(self, column: str) -> Any:
        return self._store.execute(f'SELECT "{column}" FROM organization').fetchone()[0]  # noqa: S608 - our own name

    def _read_currency(self, id: str) -> Currency:
        row = self._store.execute(
            "SELECT currencysymbol, currencyprecision, exchangerate FROM transactioncurrency"
            " WHERE transactioncurrencyid = ?",
            (id,),
        ).fetchone()
        if row is None:
            raise ObjectDoesNotExist.of("transactioncurrency", id)
        symbol, precision, rate = row
        return Currency(id, symbol or "", precision, Decimal(rate).scaleb(-_RATE_SCALE))

    def _read_business_unit(self, table: str, id: str) -> EntityReference:
        sql = f"SELECT businessunitid FROM {table} WHERE {table}id = ?"  # noqa: S608 - systemuser or team
        row = self._store.execute(sql, (id,)).fetchone()
        if row is None:
            raise ObjectDoesNotExist.of(table, id)
        return EntityReference("businessunit", row[0])

    def _read_default_currency(self, user_id: str) -> Currency:
        row = self._store.execute(
            "SELECT transactioncurrencyid FROM systemuser WHERE systemuserid = ?", (user_id,)
        ).fetchone()
        return self.currency(row[0]) if row and row[0] else self.base_currency
