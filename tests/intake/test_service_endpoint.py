"""A service endpoint puts notifications on a queue itself; they are handled as they come."""

from __future__ import annotations

import pytest
from registered_rows import queue_row, step_row

from dataverse_client.client import DataverseClient
from runner.emulator.adapter import EmbeddedAdapter
from runner.emulator.emulator import Emulator
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
    client.create(step_row(client.create(queue_row()), "Create", "new_payment"))


def test_a_created_row_gets_its_intent(elsewhere) -> None:
    payment_id = elsewhere.create_payment()
    elsewhere.crm.run_jobs()
    elsewhere.work()
    assert [intent["id"] for intent in elsewhere.open_intents()] == [
        elsewhere.payment(payment_id)["new_stripepaymentintentid"]
    ]
