"""The production client against the embedded Dataverse, in process."""

from __future__ import annotations

from decimal import Decimal

import pytest
import requests

from azure_bridge.clock import ManualClock
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.errors import ConcurrencyConflictError, NotFoundError
from dataverse_client.types import Entity, EntityReference, Money, PagingInfo, QueryExpression
from runner.emulator.adapter import EmbeddedAdapter
from runner.emulator.emulator import Emulator
from runner.emulator.webapi import WebApi

URL = "http://embedded.dataverse.local"


@pytest.fixture
def adapter():
    with Emulator(clock=ManualClock()) as emulator:
        yield EmbeddedAdapter(WebApi(emulator))


@pytest.fixture
def client(adapter):
    with DataverseClient(URL, tokens=NoAuthentication()) as client:
        client.mount(URL, adapter)
        yield client


def test_a_plain_session_is_answered(adapter):
    with requests.Session() as session:
        session.mount(URL, adapter)
        response = session.get(f"{URL}/api/data/v9.2/WhoAmI", params={"tag": "ü"})
        assert response.ok
        assert response.headers["content-type"].startswith("application/json")
        assert set(response.json()) >= {"UserId", "BusinessUnitId", "OrganizationId"}
        assert session.get(f"{URL}/api/data/v9.2/nowhere").reason == "Not Found"


def test_a_row_survives_the_round_trip_exactly(client):
    account = client.create(Entity("account", attributes={"name": "Zoë & Söhne"}))
    row = Entity("new_payment", attributes={"new_name": "Invoice 7", "new_amount": Money(Decimal("19.99"))})
    row["new_customerid"] = EntityReference("account", account)
    found = client.retrieve("new_payment", client.create(row))
    assert found["new_amount"].value == Decimal("19.99")
    assert found["new_customerid"] == EntityReference("account", account)
    assert found["new_customerid"].name == "Zoë & Söhne"


def test_an_update_on_an_old_version_is_a_conflict(client):
    id = client.create(Entity("account", attributes={"name": "A"}))
    version = client.retrieve("account", id).row_version
    client.update(Entity("account", id, {"name": "B"}), if_match=version)
    with pytest.raises(ConcurrencyConflictError):
        client.update(Entity("account", id, {"name": "C"}), if_match=version)


def test_a_missing_row_is_not_found(client):
    with pytest.raises(NotFoundError):
        client.retrieve("account", "00000000-0000-0000-0000-00000000dead")


def test_upsert_by_key_creates_once(client):
    row = Entity("new_payment", attributes={"new_name": "P"}, key_attributes={"new_stripepaymentintentid": "pi_1"})
    first, second = client.upsert(row), client.upsert(row)
    assert (first.created, second.created) == (True, False)
    assert first.reference == second.reference


def test_a_query_is_followed_to_its_end(client):
    for number in range(5):
        client.create(Entity("account", attributes={"name": f"A{number}"}))
    query = QueryExpression("account", ("name",), page_info=PagingInfo(count=2))
    assert sorted(row["name"] for row in client.query(query)) == ["A0", "A1", "A2", "A3", "A4"]
