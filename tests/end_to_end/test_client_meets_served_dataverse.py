"""Our own client over HTTP and HTTPS finds what it finds in process."""

from __future__ import annotations

from decimal import Decimal

import pytest
import requests

from azure_bridge.clock import SystemClock
from dataverse_client.auth import EntraTokens, NoAuthentication
from dataverse_client.batch import Create, Update
from dataverse_client.client import DataverseClient
from dataverse_client.errors import AuthenticationError, ConcurrencyConflictError, NotFoundError, ThrottledError
from dataverse_client.retry import RetrySettings
from dataverse_client.sign_in import Application, ClientSecret
from dataverse_client.types import Entity, Money, OrderExpression, PagingInfo, QueryExpression, new_guid
from runner.emulator.adapter import client_of
from runner.emulator.emulator import Emulator
from runner.web.certificate import certificate_in
from runner.web.dataverse.host import application
from runner.web.dataverse.service_protection import Limits
from runner.web.dataverse.start_page import Facts

APPLICATION = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def crm():
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def site(crm, serve, request):
    """Serves the emulator; answers its URL."""

    def made(*, certificate=None, require_token=False, limits=None):
        app = application(crm, Facts("simulator", certificate, require_token), limits=limits)
        request.addfinalizer(app.close)
        return serve(app, certificate)

    return made


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    certificate = certificate_in(tmp_path, SystemClock())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.authority))
    return certificate


@pytest.fixture(params=["in process", "http", "https"])
def client(request, crm, site):
    if request.param == "in process":
        with client_of(crm) as client:
            yield client
        return
    certificate = request.getfixturevalue("certificate") if request.param == "https" else None
    with DataverseClient(site(certificate=certificate), tokens=NoAuthentication(), trust_env=True) as client:
        yield client


def test_a_row_is_created_updated_and_deleted(client):
    columns = {"new_name": "Rechnung für Müller & Söhne", "new_amount": Money(Decimal("19.90"))}
    id = client.create(Entity("new_payment", None, columns))
    row = client.retrieve("new_payment", id)
    assert {name: row[name] for name in columns} == columns

    client.update(Entity("new_payment", id, {"new_name": "Paid"}))
    with pytest.raises(ConcurrencyConflictError):
        client.update(Entity("new_payment", id, {"new_name": "Lost"}), if_match=row.row_version)
    client.delete("new_payment", id)
    with pytest.raises(NotFoundError):
        client.retrieve("new_payment", id)


def test_a_query_goes_through_all_pages(client):
    client.create_multiple([Entity("account", None, {"name": f"Account {n:02}"}) for n in range(25)])
    by_name = QueryExpression("account", ("name",), orders=(OrderExpression("name"),), page_info=PagingInfo(count=10))
    rows = client.query(by_name)
    assert [row["name"] for row in rows] == [f"Account {n:02}" for n in range(25)]


def test_a_batch_carries_each_result_on_its_own(client):
    good, bad = Entity("account", None, {"name": "Good"}), Entity("account", new_guid(), {"name": "Nobody"})
    created, updated = client.batch([Create(good), Update(bad)])
    assert created.error is None
    assert isinstance(updated.error, NotFoundError)


def tokens(url, certificate, client_id=APPLICATION):
    session = requests.Session()
    session.verify = str(certificate.authority)
    return EntraTokens(url, Application("contoso.example", client_id, ClientSecret("any"), url), session=session)


def test_msal_signs_an_application_in(crm, site, certificate):
    url = site(certificate=certificate, require_token=True)
    with DataverseClient(url, tokens=tokens(url, certificate), trust_env=True) as client:
        user = crm.service().retrieve("systemuser", client.who_am_i().user_id, ("applicationid",))
        assert user["applicationid"] == APPLICATION
        account = client.retrieve("account", client.create(Entity("account", None, {"name": "Contoso"})), ["createdby"])
        assert account["createdby"].id == client.who_am_i().user_id


def test_an_application_that_is_none_gets_no_token(site, certificate):
    url = site(certificate=certificate, require_token=True)
    with (
        DataverseClient(url, tokens=tokens(url, certificate, "me"), trust_env=True) as client,
        pytest.raises(AuthenticationError, match="'me' was not found"),
    ):
        client.who_am_i()


def test_without_a_token_there_is_no_access(site):
    with (
        DataverseClient(site(require_token=True), tokens=NoAuthentication()) as client,
        pytest.raises(AuthenticationError, match="token"),
    ):
        client.who_am_i()


def test_a_client_waits_as_long_as_the_limits_ask(site):
    url = site(limits=Limits(requests=1))
    retry = RetrySettings(attempts=3, back_off=False)
    with DataverseClient(url, tokens=NoAuthentication(), retry=retry) as client:
        client.who_am_i()
        with pytest.raises(ThrottledError) as refusal:
            client.who_am_i()
        assert refusal.value.code == 0x80072322
        assert 290 < refusal.value.retry_after <= 300
