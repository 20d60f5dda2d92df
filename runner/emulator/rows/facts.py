"""Caches what the rules need from other rows: currencies, business units and names."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from dataverse_client.types import EntityReference
from runner.emulator.errors import ObjectDoesNotExist
from runner.emulator.storage.store import Store

#: Tables whose rows are cached: a write to one of them starts a new generation, which empties the caches.
KEPT_TABLES = frozenset(
    {
        "transactioncurrency",
        "systemuser",
        "team",
        "businessunit",
        "organization",
        # The rows of steps (runner.emulator.registration.registered_steps).
        "sdkmessageprocessingstep",
        "sdkmessageprocessingstepimage",
        "sdkmessageprocessingstepsecureconfig",
        "serviceendpoint",
        # The rows of custom APIs (runner.emulator.registration.custom_apis).
        "customapi",
        "customapirequestparameter",
        "customapiresponseproperty",
    }
)

_RATE_SCALE = 10


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency. ``exchange_rate`` is its amount for one unit of the base currency."""

    id: str
    symbol: str
    precision: int
    exchange_rate: Decimal
    reference: EntityReference
    is_base: bool


class Facts:
    """The cached facts, which are read again when the store's generation changes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._forget()

    def _forget(self) -> None:
        self._generation = self.store.generation
        self._currencies: dict[str, Currency] = {}
        self._default_currencies: dict[str, Currency] = {}
        self._business_units: dict[str, EntityReference] = {}
        self._named: dict[str, EntityReference] = {}
        self._organization: tuple[Currency, int] | None = None

    def _check(self) -> None:
        if self._generation != self.store.generation:
            self._forget()

    def currency(self, id: str) -> Currency:
        """The currency with that id. Raises ObjectDoesNotExist."""
        if self._generation != self.store.generation:
            self._forget()
        known = self._currencies.get(id)
        if known is None:
            known = self._currencies[id] = self._read_currency(id)
        return known

    def default_currency(self, user_id: str) -> Currency:
        """The user's own currency, or otherwise the organization's."""
        self._check()
        known = self._default_currencies.get(user_id)
        if known is None:
            known = self._default_currencies[user_id] = self._read_default_currency(user_id)
        return known

    def business_unit(self, owner: EntityReference) -> EntityReference:
        """The business unit of a user or team. Raises ObjectDoesNotExist."""
        self._check()
        known = self._business_units.get(owner.id)
        if known is None:
            known = self._business_units[owner.id] = self._read_business_unit(owner)
        return known

    def name(self, reference: EntityReference) -> str | None:
        """The primary name of a row; None when it has none, or does not exist."""
        return self.named(reference).name

    def named(self, reference: EntityReference) -> EntityReference:
        """A reference to the same row, with its primary name if it has one."""
        if reference.logical_name not in KEPT_TABLES:
            return self._with_name(reference)
        if self._generation != self.store.generation:
            self._forget()
        known = self._named.get(reference.id)
        if known is None or known.logical_name != reference.logical_name:
            known = self._named[reference.id] = self._with_name(reference)
        return known

    def _with_name(self, reference: EntityReference) -> EntityReference:
        return EntityReference(reference.logical_name, reference.id, self._read_name(reference))

    @property
    def base_currency(self) -> Currency:
        return self._read_organization()[0]

    @property
    def pricing_precision(self) -> int:
        """The decimal places of money columns that use the organization's setting."""
        return self._read_organization()[1]

    def _read_organization(self) -> tuple[Currency, int]:
        self._check()
        if self._organization is None:
            row = self.store.execute("SELECT basecurrencyid, pricingdecimalprecision FROM organization").fetchone()
            self._organization = (self._read_currency(row[0]), row[1])
        return self._organization

    def _read_name(self, reference: EntityReference) -> str | None:
        table = self.store.metadata.tables.get(reference.logical_name)
        if table is None or table.primary_name_attribute is None:
            return None
        row = self.store.execute(
            f'SELECT "{table.primary_name_attribute}" FROM "{table.logical_name}"'  # noqa: S608 - metadata's names
            f' WHERE "{table.primary_id_attribute}" = ?',
            (reference.id,),
        ).fetchone()
        return row[0] if row else None

    def _read_currency(self, id: str) -> Currency:
        row = self.store.execute(
            "SELECT currencysymbol, currencyprecision, exchangerate FROM transactioncurrency"
            " WHERE transactioncurrencyid = ?",
            (id,),
        ).fetchone()
        if row is None:
            raise ObjectDoesNotExist.of("transactioncurrency", id)
        symbol, precision, rate = row
        reference = EntityReference("transactioncurrency", id)
        return Currency(
            id, symbol or "", precision, Decimal(rate).scaleb(-_RATE_SCALE), reference, rate == 10**_RATE_SCALE
        )

    def _read_business_unit(self, owner: EntityReference) -> EntityReference:
        table = owner.logical_name
        sql = f"SELECT businessunitid FROM {table} WHERE {table}id = ?"  # noqa: S608 - systemuser or team
        row = self.store.execute(sql, (owner.id,)).fetchone()
        if row is None:
            raise ObjectDoesNotExist.of(table, owner.id)
        return EntityReference("businessunit", row[0])

    def _read_default_currency(self, user_id: str) -> Currency:
        row = self.store.execute(
            "SELECT transactioncurrencyid FROM systemuser WHERE systemuserid = ?", (user_id,)
        ).fetchone()
        return self.currency(row[0]) if row and row[0] else self.base_currency
