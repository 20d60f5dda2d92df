"""Rows without plug-ins: a database in memory, a clock that stands still, and one-line ways to write and read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from azure_bridge.clock import ManualClock
from dataverse_client.types import Entity, EntityReference, Money
from runner.emulator.metadata.load import load_metadata, metadata_of
from runner.emulator.query.model import Query
from runner.emulator.rows.associations import Associations
from runner.emulator.rows.records import Records
from runner.emulator.seed import ADMINISTRATOR_ID, currency_id
from runner.emulator.storage.store import Store

#: A table with a column of every kind, for what the shipped tables have no column for.
SAMPLE = {
    "logical_name": "new_sample",
    "schema_name": "new_Sample",
    "entity_set_name": "new_samples",
    "display_name": "Sample",
    "primary_name": "new_name",
    "columns": {
        "new_name": {"type": "String", "max_length": 10},
        "new_code": {"type": "String", "max_length": 10},
        "new_part": {"type": "Integer", "min_value": 0, "max_value": 100},
        "new_rate": {"type": "Decimal", "precision": 3},
        "new_price": {"type": "Money", "precision": 4, "precision_source": 2},
        "new_cost": {"type": "Money", "precision": 4, "precision_source": 1},
        "new_weight": {"type": "Double"},
        "new_day": {"type": "DateTime", "date_only": True},
        "new_moment": {"type": "DateTime"},
        "new_flag": {"type": "Boolean", "default": True},
        "new_colours": {"type": "MultiSelectPicklist", "options": {1: "Red", 2: "Green", 11: "Blue"}},
        "new_parentid": {"type": "Lookup", "schema_name": "new_ParentId", "targets": ["new_sample"]},
    },
    "keys": {"new_codekey": {"schema_name": "new_CodeKey", "columns": ["new_code", "new_part"]}},
}


class Crm:
    """Each write in a transaction of its own."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        self.records = Records(store, clock)
        self.associations = Associations(store, self.records)

    def write(self, work, *arguments, **options):
        self.store.begin()
        try:
            answer = work(*arguments, **options)
        except Exception:
            self.store.rollback()
            raise
        self.store.commit()
        return answer

    def create(self, table, id=None, /, **columns):
        return EntityReference(table, self.write(self.records.create, Entity(table, id, columns), ADMINISTRATOR_ID))

    def update(self, row, /, *, row_version=None, **columns):
        target = Entity(row.logical_name, row.id, columns)
        self.write(self.records.update, target, ADMINISTRATOR_ID, row_version=row_version)
        return target

    def delete(self, row, **options):
        self.write(self.records.delete, row, **options)

    def associate(self, row, relationship, *related):
        self.write(self.associations.associate, row, relationship, related, ADMINISTRATOR_ID)

    def disassociate(self, row, relationship, *related):
        self.write(self.associations.disassociate, row, relationship, related, ADMINISTRATOR_ID)

    def read(self, row, *columns):
        return self.records.retrieve(row, columns or None)

    def names(self, table, column, where=None, **more):
        """The values of one column of the rows a query finds."""
        found = self.records.retrieve_multiple(Query(table, (column,), where, **more))
        return [row.get(column) for row in found]


@pytest.fixture
def crm(clock):
    crm = Crm(Store(load_metadata()), clock)
    yield crm
    crm.store.close()


@pytest.fixture(scope="session")
def sample_metadata():
    shipped = load_metadata()
    extra = metadata_of([SAMPLE])
    return type(shipped)({**shipped.tables, **extra.tables}, (*shipped.one_to_many, *extra.one_to_many))


@pytest.fixture
def samples(sample_metadata, clock):
    """An environment that also has the table new_sample."""
    crm = Crm(Store(sample_metadata), clock)
    yield crm
    crm.store.close()


@pytest.fixture(scope="session")
def currency():
    return lambda code: EntityReference("transactioncurrency", currency_id(code))


@pytest.fixture(scope="session")
def money():
    return lambda text: Money(Decimal(text))
