"""Making the product's tables and columns in an environment that lacks them."""

from __future__ import annotations

from functools import cache

import pytest

from runner.emulator.emulator import Emulator
from runner.emulator.metadata.load import describe, load_metadata, metadata_of
from runner.registrations.deploy.problems import DeployError
from runner.registrations.deploy.schema import add, missing

TABLES = ("new_payment", "salesorder")


def without_ours(description):
    """A table as Dataverse has it before anybody customized it."""
    columns = {name: body for name, body in description["columns"].items() if not name.startswith("new_")}
    return {**description, "columns": columns, "keys": {}, "include": []}


@cache
def platform(names):
    return metadata_of([without_ours(describe(name)) for name in names])


@pytest.fixture
def environment(embedded_client):
    """Makes environments with these tables only."""
    opened = []

    def made(names):
        emulator = Emulator(metadata=platform(names))
        opened.append(emulator)
        return embedded_client(emulator), emulator

    yield made
    for emulator in opened:
        emulator.close()


PLATFORM = tuple(
    name for name, table in load_metadata().tables.items() if name != "new_payment" and not table.is_intersect
)


@pytest.fixture
def fresh(environment):
    return environment(PLATFORM)


def additions(client):
    return missing(client, [describe(name) for name in TABLES])


def make(client):
    made = []
    add(client, additions(client), made.append)
    return made


def test_an_environment_that_has_everything_lacks_nothing(embedded_client):
    with Emulator() as emulator:
        assert additions(embedded_client(emulator)) == []


def test_tables_come_before_what_refers_to_them(fresh):
    client, _ = fresh
    kinds = [each.kind for each in additions(client)]
    assert kinds == sorted(kinds, key=["table", "column", "key"].index)
    assert additions(client)[0].name == "new_payment"


def test_what_is_made_is_what_the_embedded_dataverse_has(fresh):
    client, emulator = fresh
    make(client)
    for name in TABLES:
        ours, theirs = load_metadata().tables[name].columns, emulator.metadata.tables[name].columns
        facts = [
            {
                column.logical_name: (
                    column.type,
                    column.schema_name,
                    column.max_length,
                    column.options,
                    column.targets,
                )
                for column in columns.values()
                if column.logical_name.startswith("new_")
            }
            for columns in (ours, theirs)
        ]
        assert facts[0] == facts[1]


def test_a_schema_that_is_complete_needs_nothing(fresh):
    client, _ = fresh
    assert make(client)
    assert additions(client) == []


def test_an_interrupted_schema_is_completed(fresh):
    client, _ = fresh
    wanted = additions(client)
    add(client, wanted[:3], lambda _: None)
    assert [each.name for each in additions(client)] == [each.name for each in wanted[3:]]


def test_a_table_of_an_application_that_is_not_installed_is_not_invented(environment):
    client, _ = environment(tuple(name for name in PLATFORM if name != "salesorder"))
    with pytest.raises(DeployError, match="no table salesorder: install the application"):
        additions(client)
