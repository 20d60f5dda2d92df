"""A service endpoint puts notifications on a queue itself; they are handled as they come."""

from __future__ import annotations

import pytest

from dataverse_client.client import DataverseClient
from dataverse_client.types import Entity, EntityReference, OptionSetValue
from runner.emulator.adapter import EmbeddedAdapter
from runner.emulator.emulator import Emulator
from runner.emulator.registration.sdk_messages import filter_id, message_id
from runner.emulator.webapi import WebApi


@pytest.fixture
def elsewhere(elsewhere):
    """Dataverse, which sends to the queue by itself."""
    elsewhere.crm.close()
    elsewhere.crm = Emulator(clock=elsewhere.clock, service_bus_senders=lambda _: elsewhere.queue)
    elsewhere.client.mount("http://elsewhere.dataverse.local", EmbeddedAdapter(WebApi(elsewhere.crm)))
    register(elsewhere.client)
    return elsewhere


def register(client: DataverseClient) -> None:
    columns = {
        "name": "bus",
        "contract": OptionSetValue(2),
        "authtype": OptionSetValue(2),
        "saskeyname": "send",
        "saskey": "a key of this test",
        "namespaceaddress": "sb://contoso.servicebus.windows.net/",
        "path": "dataverse-events",
        "messageformat": OptionSetValue(2),
    }
    endpoint = client.create(Entity("serviceendpoint", attributes=columns))
    step = {
        "name": "bus: Create of new_payment",
        "stage": OptionSetValue(40),
        "mode": OptionSetValue(1),
        "rank": 1,
        "sdkmessageid": EntityReference("sdkmessage", message_id("Create")),
        "sdkmessagefilterid": EntityReference("sdkmessagefilter", filter_id("Create", "new_payment")),
        "eventhandler": EntityReference("serviceendpoint", endpoint),
    }
    client.create(Entity("sdkmessageprocessingstep", attributes=step))


def test_a_created_row_gets_its_intent(elsewhere) -> None:
    payment_id = elsewhere.create_payment()
    elsewhere.crm.run_jobs()
    elsewhere.work()
    assert [intent["id"] for intent in elsewhere.open_intents()] == [
        elsewhere.payment(payment_id)["new_stripepaymentintentid"]
    ]
