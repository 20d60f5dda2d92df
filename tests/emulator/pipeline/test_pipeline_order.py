"""Which steps run for an operation, and in which order."""

from __future__ import annotations

import pytest
from emulator_samples import account

from dataverse_client.types import Entity


@pytest.mark.behaviour("Order and filtering", "Stages run in the order 10, 20, 40", "event-framework")
def test_stages_run_in_order_however_they_were_registered(service, ran):
    for stage in (40, 10, 20):
        labels = ran("Create", stage, stage)
    service.create(account())
    assert labels == [10, 20, 40]


@pytest.mark.behaviour(
    "Order and filtering", "Within a stage the rank decides; steps of equal rank run by name", "decided"
)
def test_within_a_stage_the_rank_decides_then_the_name(service, ran):
    for rank, label in ((2, "a"), (1, "c"), (1, "b"), (-1, "z")):
        labels = ran("Create", 20, label, rank=rank)
    service.create(account())
    assert labels == ["z", "b", "c", "a"]


@pytest.mark.behaviour("Order and filtering", "A step without a table runs for every table", "register-plug-in")
def test_a_step_without_a_table_runs_for_every_table(service, ran):
    labels = ran("Create", 20, "any", entity=None)
    service.create(account())
    service.create(Entity("contact", None, {"lastname": "Nancy"}))
    assert labels == ["any", "any"]


def test_messages_are_named_whatever_their_case(service, ran):
    labels = ran("create", 20, "ran")
    service.create(account())
    assert labels == ["ran"]


# --- filtering attributes -------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Order and filtering",
    "Filtering attributes match columns the request carries, changed or not, in any case",
    "best-practices/business-logic/include-filtering-attributes-plugin-registration",
)
@pytest.mark.parametrize(
    ("sent", "runs"),
    [
        pytest.param({"name": "Contoso"}, True, id="sent, although equal"),
        pytest.param({"description": "x"}, False, id="another column"),
        pytest.param({"name": None}, True, id="cleared"),
    ],
)
def test_an_update_step_listens_to_columns_that_are_sent(service, ran, sent, runs):
    id = service.create(account())
    labels = ran("Update", 20, "ran", filtering_attributes=frozenset({"NAME", "telephone1"}))
    service.update(Entity("account", id, sent))
    assert bool(labels) is runs


@pytest.mark.behaviour("Order and filtering", "Columns that a plug-in adds to Target wake no further step", "decided")
def test_columns_a_plugin_adds_wake_no_further_step(service, on, ran):
    id = service.create(account())

    @on("Update", 20)
    def add_a_column(context):
        context.target["telephone1"] = "1"

    labels = ran("Update", 40, "ran", filtering_attributes=frozenset({"telephone1"}))
    service.update(Entity("account", id, {"name": "Other"}))
    assert labels == []
    assert service.retrieve("account", id)["telephone1"] == "1"


@pytest.mark.behaviour("Order and filtering", "A step filtered by the primary key runs on every Update", "common")
def test_listening_to_the_primary_key_is_listening_to_every_update(service, ran):
    id = service.create(account())
    labels = ran("Update", 20, "ran", filtering_attributes=frozenset({"accountid"}))
    service.update(Entity("account", id, {"description": "x"}))
    assert labels == ["ran"]


@pytest.mark.behaviour("Order and filtering", "Filtering attributes filter Update only", "register-plug-in")
def test_only_update_steps_are_filtered(service, ran):
    labels = ran("Create", 20, "ran", filtering_attributes=frozenset({"telephone1"}))
    service.create(account())
    assert labels == ["ran"]
