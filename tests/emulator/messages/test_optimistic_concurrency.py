"""Update and Delete of a row only if it is still the version that was read."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import (
    Entity,
)
from runner.emulator.errors import (
    ConcurrencyVersionMismatch,
    InvalidArgument,
)
from runner.emulator.plugin_faults import ConcurrencyVersionNotProvided


@pytest.mark.behaviour(
    "Messages",
    "Update and Delete with IfRowVersionMatches refuse a row changed meanwhile, 0x80060882",
    "optimistic-concurrency",
)
@pytest.mark.parametrize("message", ["Update", "Delete"])
def test_a_row_changed_since_it_was_read_is_not_written(service, send, message):
    id = service.create(account())
    row = service.retrieve("account", id)
    service.update(account("Changed", id))
    target = Entity("account", id, {"name": "Mine"}, row_version=row.row_version)
    if message == "Delete":
        target = target.to_entity_reference()
    with pytest.raises(ConcurrencyVersionMismatch):
        send(message, Target=target, ConcurrencyBehavior="IfRowVersionMatches")


@pytest.mark.behaviour(
    "Messages", "Update with IfRowVersionMatches takes the version that was read last", "optimistic-concurrency"
)
def test_a_row_read_last_is_written(service, send):
    id = service.create(account())
    version = service.retrieve("account", id).row_version
    target = Entity("account", id, {"name": "Mine"}, row_version=version)
    send("Update", Target=target, ConcurrencyBehavior="IfRowVersionMatches")
    assert service.retrieve("account", id)["name"] == "Mine"


@pytest.mark.behaviour(
    "Messages", "IfRowVersionMatches without a RowVersion is refused with 0x80060883", "optimistic-concurrency"
)
def test_a_condition_without_a_version_is_refused(service, send):
    id = service.create(account())
    with pytest.raises(ConcurrencyVersionNotProvided):
        send("Update", Target=account("Mine", id), ConcurrencyBehavior="IfRowVersionMatches")


def test_a_version_may_be_the_number_in_its_column(service, send, names):
    id = service.create(account())
    row = account("Fabrikam", id)
    row.row_version = service.retrieve("account", id, ["versionnumber"])["versionnumber"]
    send("Update", Target=row, ConcurrencyBehavior="IfRowVersionMatches")
    assert names() == ["Fabrikam"]


def test_a_condition_may_be_the_enumerations_number(service, send):
    id = service.create(account())
    stale = Entity("account", id, {"name": "New"}, row_version="1")
    with pytest.raises(ConcurrencyVersionMismatch):
        send("Update", Target=stale, ConcurrencyBehavior=1)


def test_a_misspelled_concurrency_behavior_overwrites_nothing(service, send, names):
    id = service.create(account())
    with pytest.raises(InvalidArgument, match="not 'IfRowVersionMatch'"):
        send("Update", Target=account("Fabrikam", id), ConcurrencyBehavior="IfRowVersionMatch")
    assert names() == ["Contoso"]
