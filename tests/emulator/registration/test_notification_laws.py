"""Whatever happens to rows, the receiving end reads of it what the sending end was told."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_plugins import Tell

from dataverse_client.types import Entity, EntityCollection, EntityReference, Money, OptionSetValue, OrganizationRequest
from runner.emulator.emulator import Emulator
from runner.execution.step import Image, Step
from runner.remote_context.context import RemoteContext

texts = st.text(st.characters(codec="utf-8"), max_size=40).filter(lambda text: not text.startswith("/Date("))
amounts = st.decimals(0, 10**9, places=2).map(Money)
COLUMNS = {
    "lastname": texts,
    "description": texts,
    "birthdate": st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    "creditlimit": amounts,
    "donotemail": st.booleans(),
    "gendercode": st.sampled_from([OptionSetValue(1), OptionSetValue(2)]),
}
contacts = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in COLUMNS.items()}).map(
    lambda columns: Entity("contact", attributes=columns)
)


@pytest.fixture(scope="module")
def crm():
    """Every message about a contact is told, by a synchronous and by an asynchronous step."""
    images = {"Create": "post", "CreateMultiple": "post", "Delete": "pre"}
    mailbox = []
    with Emulator() as emulator:
        for message in ("Create", "Update", "Delete", "Assign", "CreateMultiple", "UpdateMultiple", "Retrieve"):
            image = () if message == "Retrieve" else (Image("row", images.get(message, "both"), None),)
            for mode in (0, 1):
                step = Step(plugin=Tell(mailbox), message=message, entity="contact", stage=40, mode=mode, images=image)
                emulator.register(step)
        yield emulator


@settings(max_examples=20)
@given(rows=st.lists(contacts, min_size=4, max_size=4))
def test_a_notification_says_what_a_plugin_is_told(crm, rows):
    mailbox = crm.steps[0].plugin.mailbox
    mailbox.clear()
    live(crm, *rows)
    assert len(mailbox) > 0
    for execution, body in zip(crm.executions[-len(mailbox) :], mailbox, strict=True):
        assert told(RemoteContext.decode(body).context) == told(execution.context)


def live(crm, *rows):
    """A contact's life, with another beside it."""
    service = crm.service()
    first, second, other, third = rows
    id = service.create(first)
    second.id = third.id = id
    service.update(second)
    owner = service.retrieve("contact", id)["ownerid"]
    crm.execute(OrganizationRequest("Assign", {"Target": EntityReference("contact", id), "Assignee": owner}))
    crm.execute(OrganizationRequest("CreateMultiple", {"Targets": EntityCollection([other])}))
    crm.execute(OrganizationRequest("UpdateMultiple", {"Targets": EntityCollection([third])}))
    service.delete("contact", id)
    crm.run_jobs()


def told(context):
    """What there is to be told, in terms the wire knows."""
    facts = ("message_name", "stage", "mode", "depth", "primary_entity_id", "user_id", "correlation_id", "operation_id")
    collections = (
        "input_parameters",
        "output_parameters",
        "shared_variables",
        "pre_entity_images",
        "post_entity_images",
    )
    parent = context.parent_context
    return (
        *(getattr(context, name) for name in facts),
        *(plain(getattr(context, name)) for name in collections),
        parent and plain(parent.input_parameters),
    )


def plain(value):
    if isinstance(value, Entity):
        formatted = dict(value.formatted_values)
        return (value.logical_name, value.id, plain(value.attributes), formatted)
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple | EntityCollection):
        return [plain(member) for member in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value
