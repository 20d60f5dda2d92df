"""An endpoint that calls the Web API back while a synchronous step waits for its answer."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from local_server import Handler, local_server

from runner.emulator.emulator import Emulator
from runner.emulator.registration.sdk_messages import filter_id, message_id

API = "/api/data/v9.2"
FETCH = "<fetch><entity name='account'><attribute name='name'/></entity></fetch>"
BATCH = (
    "--b\r\nContent-Type: application/http\r\n\r\nGET /api/data/v9.2/accounts?$select=name HTTP/1.1\r\n\r\n"
    "--b\r\nContent-Type: application/http\r\n\r\nGET /api/data/v9.2/WhoAmI HTTP/1.1\r\n\r\n--b--\r\n"
)


@pytest.fixture
def emulator(clock, tmp_path):
    with Emulator(clock=clock, database=tmp_path / "crm.db", lock_timeout=timedelta(0)) as emulator:
        yield emulator


class Endpoint:
    """A webhook; ``work`` is done before it answers, ``results`` is what came of it each time."""

    def __init__(self):
        self.work = lambda: None
        self.results = []
        self.status = 200

    def listening(self):
        endpoint = self

        class Webhook(Handler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.results.append(endpoint.work())
                self.answer(endpoint.status)

        return local_server(Webhook)


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
def hooked(http, endpoint):
    """``hooked("Create")``: a synchronous step of accounts, in the middle of whose transaction the endpoint works."""
    with endpoint.listening() as url:

        def register(message, stage=40):
            body = {"name": "hook", "contract": 8, "authtype": 4, "authvalue": "k", "url": url}
            hook = created(http, "serviceendpoints", body)
            step = {"name": f"{message} of account", "mode": 0, "stage": stage, "rank": 1}
            step["eventhandler_serviceendpoint@odata.bind"] = f"/serviceendpoints({hook})"
            step["sdkmessageid@odata.bind"] = f"/sdkmessages({message_id(message)})"
            step["sdkmessagefilterid@odata.bind"] = f"/sdkmessagefilters({filter_id(message, 'account')})"
            created(http, "sdkmessageprocessingsteps", step)

        yield register


def created(http, entity_set, body):
    answer = http("POST", f"{API}/{entity_set}", json=body)
    assert answer.status_code == 204, answer.text
    return answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")


def names(answer):
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["value"]]


@pytest.mark.behaviour("Web API", "An endpoint reads while a synchronous step waits for its answer", "common")
@pytest.mark.parametrize(
    "query",
    ["$select=name", "$filter=startswith(name,'C')", "$apply=groupby((name))", f"fetchXml={FETCH}"],
    ids=["select", "filter", "apply", "fetchxml"],
)
def test_rows_are_listed_as_they_were_before_the_transaction(http, hooked, endpoint, query):
    created(http, "accounts", {"name": "Contoso"})
    hooked("Create")
    endpoint.work = lambda: names(http.get(f"{API}/accounts?{query}"))
    created(http, "accounts", {"name": "Chicago"})
    assert endpoint.results == [["Contoso"]]
    assert sorted(names(http.get(f"{API}/accounts?$select=name"))) == ["Chicago", "Contoso"]


def test_the_row_being_created_is_not_found(http, hooked, endpoint):
    hooked("Create")
    id = "00000000-0000-0000-0000-0000000000aa"
    endpoint.work = lambda: http.get(f"{API}/accounts({id})").status_code
    created(http, "accounts", {"accountid": id, "name": "Contoso"})
    assert endpoint.results == [404]
    assert http.get(f"{API}/accounts({id})").status_code == 200


def test_the_row_being_updated_has_its_old_values_and_etag(http, hooked, endpoint):
    id = created(http, "accounts", {"name": "before"})
    hooked("Update")
    before = http.get(f"{API}/accounts({id})?$select=name").json()
    endpoint.work = lambda: http.get(f"{API}/accounts({id})?$select=name").json()
    assert http("PATCH", f"{API}/accounts({id})", json={"name": "after"}).status_code == 204
    assert endpoint.results == [before]


@pytest.mark.parametrize(
    "path",
    [
        "WhoAmI",
        "$metadata",
        "EntityDefinitions(LogicalName='account')/Attributes",
        "RetrieveTotalRecordCount(EntityNames=['account'])",
        "accounts/$count",
        "accounts?$select=name&$expand=primarycontactid($select=fullname)",
        "accounts?sql=SELECT name FROM account",
    ],
)
def test_whatever_only_reads_is_answered(http, hooked, endpoint, path):
    hooked("Create")
    endpoint.work = lambda: http.get(f"{API}/{path}").status_code
    created(http, "accounts", {"name": "Contoso"})
    assert endpoint.results == [200]


def test_a_batch_of_reads_is_answered(http, hooked, endpoint):
    hooked("Create")
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    endpoint.work = lambda: http("POST", f"{API}/$batch", data=BATCH, headers=headers).text.count("HTTP/1.1 200")
    created(http, "accounts", {"name": "Contoso"})
    assert endpoint.results == [2]


def test_the_start_page_does_not_stop_the_server(http, hooked, endpoint):
    hooked("Create")
    with_tables = {"Accept": "application/json"}

    def look():
        asked = threading.Thread(target=http.get, args=("/",), kwargs=with_tables, daemon=True)
        asked.start()
        return http.who_am_i().status_code

    endpoint.work = look
    created(http, "accounts", {"name": "Contoso"})
    assert endpoint.results == [200]


def test_changes_of_the_transaction_are_told_once_they_are_committed(http, hooked, endpoint):
    """Even to a client that followed its delta link in the middle of it."""
    created(http, "accounts", {"name": "Contoso"})
    hooked("Create")

    def delta(link):
        answer = http.get(link.removeprefix(http.url), Prefer="odata.track-changes")
        return names(answer), answer.json()["@odata.deltaLink"]

    _, link = delta(f"{API}/accounts?$select=name")
    endpoint.work = lambda: delta(link)
    created(http, "accounts", {"name": "Fabrikam"})
    [(told, next_link)] = endpoint.results
    assert told == []
    assert delta(next_link)[0] == ["Fabrikam"]


@pytest.mark.parametrize("how", ["create", "update", "change set"])
def test_writing_fails_with_sql_timeout_before_the_webhook_does(http, hooked, endpoint, how):
    id = created(http, "accounts", {"name": "Contoso"})
    hooked("Update")
    writes = {
        "create": lambda: http("POST", f"{API}/contacts", json={"lastname": "Nancy"}),
        "update": lambda: http("PATCH", f"{API}/accounts({id})", json={"name": "from the endpoint"}),
        "change set": lambda: change_set(http, f"accounts({id})"),
    }
    endpoint.work = writes[how]
    assert http("PATCH", f"{API}/accounts({id})", json={"name": "after"}).status_code == 204
    [refused] = endpoint.results
    assert "0x80044151" in refused.text
    assert refused.status_code == 500
    assert names(http.get(f"{API}/accounts?$select=name")) == ["after"]


def change_set(http, path):
    body = (
        "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
        "--c\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\n"
        f"PATCH {API}/{path} HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"
        '{"name": "from the endpoint"}\r\n--c--\r\n--b--\r\n'
    )
    return http("POST", f"{API}/$batch", data=body, headers={"Content-Type": "multipart/mixed; boundary=b"})


def test_an_endpoint_that_gives_up_takes_the_transaction_with_it(http, hooked, endpoint):
    hooked("Create")
    endpoint.status = 500
    endpoint.work = lambda: names(http.get(f"{API}/accounts?$select=name"))
    refused = http("POST", f"{API}/accounts", json={"name": "Contoso"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "0x80050201")
    assert endpoint.results == [[]]
    assert names(http.get(f"{API}/accounts?$select=name")) == []


def test_many_who_wait_to_write_do_not_keep_anybody_from_reading(http, hooked, endpoint, emulator):
    hooked("Create")

    def crowd():
        with_body = {"json": {"lastname": "Nancy"}}
        waiting = [threading.Thread(target=http, args=("POST", f"{API}/contacts"), kwargs=with_body) for _ in range(10)]
        for each in waiting:
            each.start()
        found = http.get(f"{API}/accounts?$select=name").status_code
        for each in waiting:
            each.join()
        return found

    endpoint.work = crowd
    created(http, "accounts", {"name": "Contoso"})
    assert endpoint.results == [200]
