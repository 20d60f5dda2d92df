"""The Web API over HTTP: the same answers as in process, and what only a server has to decide."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from runner.execution.step import Step
from runner.plugin import Plugin
from runner.web.server import ServerError, is_loopback, listen, url_of

ACCOUNTS = "/api/data/v9.2/accounts"


def test_a_row_created_is_found_again(http):
    created = http("POST", ACCOUNTS, json={"name": "Contoso"})
    assert created.status_code == 204
    assert created.headers["OData-EntityId"].startswith(f"{http.url}{ACCOUNTS}(")

    [row] = http.get(f"{ACCOUNTS}?$filter=name eq 'Contoso'&$select=name").json()["value"]
    assert row["name"] == "Contoso"


@pytest.mark.parametrize("version", ["v9.0", "v9.1", "v9.2"])
def test_every_version_of_9_is_served(http, version):
    assert http.get(f"/api/data/{version}/WhoAmI").status_code == 200


def test_a_next_link_leads_to_the_host_the_client_used(http):
    for name in "abc":
        http("POST", ACCOUNTS, json={"name": name})
    link = http.get(f"{ACCOUNTS}?$select=name", Prefer="odata.maxpagesize=2").json()["@odata.nextLink"]
    assert link.startswith(f"{http.url}{ACCOUNTS}?")
    assert len(http.get(link.removeprefix(http.url)).json()["value"]) == 1


def test_a_forwarded_request_is_answered_with_links_of_the_scheme_the_client_used(http):
    answer = http.get("/api/data/v9.2/WhoAmI", X_Forwarded_Proto="https")
    assert answer.json()["@odata.context"].startswith("https://")


def test_one_connection_carries_many_requests(http):
    connection = HTTPConnection(http.url.removeprefix("http://"), timeout=30)
    connection.connect()
    for _ in range(3):
        kept = connection.sock
        connection.request("GET", "/api/data/v9.2/WhoAmI")
        assert connection.getresponse().read()
        assert connection.sock is kept
    connection.close()


def test_headers_given_twice_count_both(http):
    http("POST", ACCOUNTS, json={"name": "Contoso"})
    with socket.create_connection(("127.0.0.1", int(http.url.rpartition(":")[2])), 30) as connection:
        connection.sendall(
            f"GET {ACCOUNTS}?$top=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            'Prefer: odata.maxpagesize=1\r\nPrefer: odata.include-annotations="*"\r\n\r\n'.encode()
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"FormattedValue" in answer


def test_many_clients_at_once_are_all_served(http):
    def create(number):
        return http("POST", ACCOUNTS, json={"name": f"Account {number}"}).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(create, range(40))) == {204}
    assert http.get(f"{ACCOUNTS}/$count").text.strip("\ufeff") == "40"


def test_a_plug_in_that_takes_its_time_does_not_stop_the_server(http, emulator):
    started, may_end = threading.Event(), threading.Event()

    class Dawdle(Plugin):
        def execute(self, context):
            started.set()
            assert may_end.wait(30)

    emulator.register(Step(plugin=Dawdle(), message="Create", entity="account", stage=20))
    with ThreadPoolExecutor(1) as client:
        slow = client.submit(http, "POST", ACCOUNTS, json={"name": "Contoso"})
        assert started.wait(30)
        assert not emulator.is_prompt
        assert http.get("/common/discovery/instance").status_code == 200
        may_end.set()
        assert slow.result().status_code == 204


@pytest.mark.parametrize("as_stream", [False, True], ids=["announced", "streamed"])
def test_a_body_larger_than_the_limit_is_refused(site, as_stream):
    http = site(max_body=1000)
    body = b'{"name":"' + b"x" * 2000 + b'"}'
    answer = http("POST", ACCOUNTS, data=iter([body]) if as_stream else body)
    assert answer.status_code == 413
    assert "larger than 1000 bytes" in answer.json()["error"]["message"]


def test_a_client_that_goes_away_in_the_middle_of_its_request_harms_nobody(http):
    with socket.create_connection(("127.0.0.1", int(http.url.rpartition(":")[2])), 30) as connection:
        connection.sendall(f"POST {ACCOUNTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert http.who_am_i().status_code == 200
    assert http.get(f"{ACCOUNTS}/$count").text.strip("\ufeff") == "0"


def test_a_port_in_use_is_told_with_what_to_do():
    with listen("127.0.0.1", 0) as first, pytest.raises(ServerError, match=r"in use.*--port 0"):
        listen("127.0.0.1", first.getsockname()[1])


def test_a_host_that_is_none_is_told():
    with pytest.raises(ServerError, match=r"203\.0\.113\.9.*--host"):
        listen("203.0.113.9", 0)


def test_the_url_is_one_this_machine_can_use():
    everywhere = "0.0.0.0"  # noqa: S104
    with listen(everywhere, 0) as bound:
        assert url_of(bound, everywhere, secure=True) == f"https://127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("crm.localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_alone(host, expected):
    assert is_loopback(host) is expected
