"""Requests that would never end are refused, and nothing of them stays."""

from __future__ import annotations

import pytest
from small_plugins import Do

from dataverse_client.types import Entity, EntityCollection, QueryExpression
from runner.emulator.emulator import Emulator
from runner.emulator.errors import InvalidArgument
from runner.execution.step import Step


def accounts(crm):
    return len(crm.service().retrieve_multiple(QueryExpression.of("account")))


def test_a_row_that_is_its_own_related_row_is_refused():
    row = Entity("account", None, {"name": "A"})
    row.related_entities["account_parent_account"] = EntityCollection([row])
    with Emulator() as crm:
        with pytest.raises(InvalidArgument, match="Create goes too deep, and nothing was changed"):
            crm.service().create(row)
        assert accounts(crm) == 0


def test_a_shared_variable_that_holds_itself_is_refused():
    """Given an asynchronous step, whose job would have to keep it."""

    def share_itself(context):
        context.shared_variables["self"] = context.shared_variables

    steps = [
        Step(plugin=Do(share_itself), message="Create", entity="account", stage=20),
        Step(plugin=Do(lambda context: None), message="Create", entity="account", stage=40, mode=1),
    ]
    with Emulator(steps) as crm:
        with pytest.raises(InvalidArgument, match="a value contains itself"):
            crm.service().create(Entity("account", None, {"name": "A"}))
        assert (accounts(crm), crm.pending_jobs) == (0, ())
