"""A request is repeated where that is safe, as often and as patiently as the settings and the server say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import requests
import responses
from ports import nobody_listens
from urllib3.exceptions import MaxRetryError, NewConnectionError

from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.errors import (
    AuthenticationError,
    ConcurrencyConflictError,
    DataverseUnavailableError,
    DuplicateRecordError,
    InvalidRequestError,
    NotFoundError,
    UnexpectedResponseError,
)
from dataverse_client.exchange import Answer, Request
from dataverse_client.retry import RetrySettings
from dataverse_client.transport import Timeouts, Transport
from dataverse_client.types import Entity

ENVIRONMENT = "https://contoso.crm.dynamics.com"
API = f"{ENVIRONMENT}/api/data/v9.2/"
ROW = "accounts(00a1b2c3-0000-4000-8000-000000000001)"
NOW = datetime(2026, 11, 22, 17, 0, 0, tzinfo=UTC)

READ = Request("GET", ROW)
CREATE = Request("POST", "accounts", repeatable=False)


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def send(web: responses.RequestsMock, time: Time) -> Callable[..., Answer]:
    """Sends one request, with the largest jitter there can be."""

    def send(request: Request, retry: RetrySettings | None = None, tokens: object = None) -> Answer:
        transport = Transport(
            ENVIRONMENT,
            tokens or NoAuthentication(),
            retry=retry,
            sleep=time.sleep,
            monotonic=lambda: time.now,
            now=lambda: NOW,
            uniform=lambda low, high: high,
        )
        return transport.send(request, correlation_id="c")

    return send


def never_connected() -> requests.ConnectionError:
    return requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_repeated_until_it_succeeds(web, send, status):
    web.get(API + ROW, status=status)
    web.get(API + ROW, status=200)

    assert send(READ).status == 200


@pytest.mark.parametrize("status", [400, 403, 404, 412, 500, 501])
def test_a_refusal_is_not_repeated(web, send, time, status):
    web.get(API + ROW, status=status)

    assert send(READ).status == status
    assert time.slept == []


def test_a_throttled_create_is_repeated_because_it_was_not_done(web, send):
    web.post(f"{API}accounts", status=429)
    web.post(f"{API}accounts", status=204)

    assert send(CREATE).status == 204


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_create_that_may_have_been_done_is_not_repeated(web, send, time, status):
    web.post(f"{API}accounts", status=status)

    assert send(CREATE).status == status
    assert time.slept == []


def test_a_create_is_repeated_when_no_connection_came_about(web, send):
    web.post(f"{API}accounts", body=never_connected())
    web.post(f"{API}accounts", body=requests.ConnectTimeout())
    web.post(f"{API}accounts", status=204)

    assert send(CREATE).status == 204


@pytest.mark.parametrize("failure", [requests.ConnectionError("reset"), requests.ReadTimeout()], ids=["reset", "slow"])
def test_a_create_whose_connection_broke_is_not_repeated(web, send, time, failure):
    web.post(f"{API}accounts", body=failure)

    with pytest.raises(DataverseUnavailableError, match="POST accounts"):
        send(CREATE)
    assert time.slept == []


def test_a_read_survives_broken_connections(web, send):
    web.get(API + ROW, body=requests.ConnectionError("reset"))
    web.get(API + ROW, body=requests.exceptions.ChunkedEncodingError("cut"))
    web.get(API + ROW, status=200)

    assert send(READ).status == 200


def test_waits_double_up_to_the_longest(web, send, time):
    web.get(API + ROW, status=503)

    send(READ, RetrySettings(attempts=6, base_delay=1.0, max_delay=5.0))

    assert time.slept == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_the_last_answer_is_returned_when_attempts_are_used_up(web, send):
    web.get(API + ROW, status=503)

    assert send(READ, RetrySettings(attempts=2)).status == 503
    assert len(web.calls) == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Sun, 22 Nov 2026 17:00:20 GMT", 20.0), ("Sun, 22 Nov 2026 16:00:00 GMT", 0.0)],
    ids=["seconds", "HTTP date", "a date gone by"],
)
def test_retry_after_is_waited_for_in_full(web, send, time, header, seconds):
    web.get(API + ROW, status=429, headers={"Retry-After": header})
    web.get(API + ROW, status=200)

    send(READ, RetrySettings(base_delay=0.5))

    assert time.slept == [seconds + 0.5]


@pytest.mark.parametrize("header", ["soon", "-1", "nan", "inf", ""])
def test_a_senseless_retry_after_is_ignored(web, send, time, header):
    web.get(API + ROW, status=503, headers={"Retry-After": header})
    web.get(API + ROW, status=200)

    send(READ, RetrySettings(base_delay=0.5))

    assert time.slept == [0.5]


@pytest.mark.parametrize("header", ["9" * 400, "Wed, 21 Oct 9999 07:28:00 GMT"])
def test_a_retry_after_of_ages_is_taken_for_a_day(web, send, header):
    """Whoever reckons with it must be able to: no time is that long."""
    web.get(API + ROW, status=429, headers={"Retry-After": header})

    assert send(READ).retry_after == 86_400


def test_a_wait_beyond_the_deadline_is_not_begun(web, send, time):
    web.get(API + ROW, status=429, headers={"Retry-After": "60"})

    answer = send(READ, RetrySettings(deadline=30.0))

    assert (answer.status, answer.retry_after) == (429, 60.0)
    assert time.slept == []


def test_back_off_can_be_switched_off(web, send, time):
    web.get(API + ROW, status=429, headers={"Retry-After": "60"})
    web.get(API + ROW, status=200)

    assert send(READ, RetrySettings(back_off=False)).status == 200
    assert time.slept == [0.0]


def test_a_redirect_is_not_followed(web, send):
    web.get(API + ROW, status=302, headers={"Location": "https://evil.example/"})

    assert isinstance(send(READ).error(), UnexpectedResponseError)
    assert len(web.calls) == 1


def test_an_untrusted_certificate_is_not_tried_again(web, send, time):
    web.get(API + ROW, body=requests.exceptions.SSLError("self-signed"))

    with pytest.raises(UnexpectedResponseError, match="not to be trusted"):
        send(READ)
    assert time.slept == []


def test_what_the_network_said_is_passed_on_without_the_query(time):
    with nobody_listens() as address:
        transport = Transport(address, NoAuthentication(), retry=RetrySettings(attempts=1))
        with pytest.raises(DataverseUnavailableError) as unavailable:
            transport.send(Request("GET", "contacts?$filter=lastname eq 'Nobody'"), correlation_id="c")
    assert "last: ConnectionError: [Errno 111] Connection refused). Check the address" in unavailable.value.message
    assert "lastname" not in unavailable.value.message


class CountingTokens:
    """Hands out a new token after each refusal."""

    def __init__(self) -> None:
        self.invalidations = 0

    def token(self) -> str:
        return f"token-{self.invalidations}"

    def invalidate(self, token: str) -> None:
        assert token == self.token()
        self.invalidations += 1


def test_a_refused_token_is_renewed_once(web, send):
    web.post(f"{API}accounts", status=401)
    web.post(f"{API}accounts", status=204)

    assert send(CREATE, tokens=CountingTokens()).status == 204
    assert [call.request.headers["Authorization"] for call in web.calls] == ["Bearer token-0", "Bearer token-1"]


def test_a_token_refused_twice_is_an_authentication_error(web, send):
    tokens = CountingTokens()
    web.get(API + ROW, status=401)

    error = send(READ, tokens=tokens).error()

    assert isinstance(error, AuthenticationError)
    assert (len(web.calls), tokens.invalidations) == (2, 1)
    assert "token-" not in f"{error!s} {error!r}"


class NoTokens:
    def token(self) -> str:
        raise DataverseUnavailableError("Microsoft Entra did not answer")

    def invalidate(self, token: str) -> None: ...


def test_without_a_token_even_a_create_may_be_tried_again(send, time):
    with pytest.raises(DataverseUnavailableError, match="Entra"):
        send(CREATE, RetrySettings(attempts=3), tokens=NoTokens())
    assert len(time.slept) == 2


@pytest.mark.parametrize("url", ["contoso.crm.dynamics.com", "ftp://contoso", "https://me:secret@contoso.com", ""])
def test_an_address_that_is_no_environment_is_refused(url):
    with pytest.raises(InvalidRequestError):
        Transport(url, NoAuthentication())


def test_the_password_in_a_refused_address_is_not_repeated():
    with pytest.raises(InvalidRequestError) as refusal:
        Transport("https://me:hunter2@contoso.com", NoAuthentication())
    assert "hunter2" not in str(refusal.value)


def test_a_token_is_not_sent_in_the_clear():
    with pytest.raises(InvalidRequestError, match="https only"):
        Transport("http://contoso.com", CountingTokens())
    Transport("http://127.0.0.1:5555", CountingTokens())


def test_timeouts_never_exceed_what_is_left_of_the_deadline(web):
    seen: list[tuple[float, float]] = []

    class Session(requests.Session):
        def send(self, request, **options):
            seen.append(options["timeout"])
            return super().send(request, **options)

    web.get(API + ROW, status=200)
    settings = {"retry": RetrySettings(deadline=3.0), "timeouts": Timeouts(connect=10.0, read=130.0)}
    Transport(ENVIRONMENT, NoAuthentication(), session=Session(), monotonic=lambda: 0.0, **settings).send(
        READ, correlation_id="c"
    )

    assert seen == [(3.0, 3.0)]


def test_a_delete_repeated_into_not_found_has_worked(web, client):
    web.delete(API + ROW, status=503)
    web.delete(API + ROW, status=404, json={"error": {"code": "0x80040217", "message": "gone"}})

    client.delete("account", ROW[9:-1])

    assert [call.request.method for call in web.calls].count("DELETE") == 2


def test_a_delete_that_was_only_throttled_has_not(web, client):
    web.delete(API + ROW, status=429)
    web.delete(API + ROW, status=404, json={"error": {"code": "0x80040217", "message": "gone"}})

    with pytest.raises(NotFoundError):
        client.delete("account", ROW[9:-1])


def test_a_create_with_its_own_id_repeated_into_duplicate_has_worked(web, client: DataverseClient):
    web.post(f"{API}accounts", status=504)
    web.post(f"{API}accounts", status=412, json={"error": {"code": "0x80040237", "message": "exists"}})

    assert client.create(Entity("account", ROW[9:-1])) == ROW[9:-1]


def test_a_violated_alternate_key_is_never_taken_for_success(web, client: DataverseClient):
    web.post(f"{API}accounts", status=504)
    web.post(f"{API}accounts", status=412, json={"error": {"code": "0x80060892", "message": "key"}})

    with pytest.raises(DuplicateRecordError):
        client.create(Entity("account", ROW[9:-1]))


def test_a_conflict_after_a_lost_answer_says_that_it_may_be_our_own(web, client: DataverseClient):
    web.patch(API + ROW, status=502)
    web.patch(API + ROW, status=412, json={"error": {"code": "0x80060882", "message": "changed"}})

    with pytest.raises(ConcurrencyConflictError) as conflict:
        client.update(Entity("account", ROW[9:-1], {"name": "x"}), if_match='W/"1"')
    assert conflict.value.is_repeat
