"""What the two webhook addresses answer: 2xx once it is durable, 4xx to what can never be, 503 to what can later."""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from azure_bridge.queues.contract import QueueError, QueueMessage, QueueUnavailableError
from azure_bridge.secrets import Secrets
from dataverse_client.types import new_guid
from runner.intake.credentials import Credential, Credentials
from runner.intake.webhook import MAX_BODY
from runner.registrations.identity import step_id
from runner.service.wiring import opened
from runner.settings import Settings
from runner.tracing.recorder import FanOut, Recorder
from runner.web.serving.app import DATAVERSE_HOOK, STRIPE_HOOK, ServeApp
from runner.web.serving.hooks import DataverseHook
from runner.web.serving.metrics import Metrics

REGISTRATIONS = Path(__file__).parents[3] / "registrations.yaml"
OUR_STEP = step_id("Payment: create the intent")


def a_notification(**more):
    return {
        "MessageName": "Create",
        "PrimaryEntityName": "new_payment",
        "PrimaryEntityId": new_guid(),
        "OperationId": new_guid(),
        "Stage": 40,
        "Mode": 1,
        "InputParameters": [],
        "OutputParameters": [{"key": "id", "value": new_guid()}],
        **more,
    }


class Served:
    """``runner serve`` without workers, in this process."""

    def __init__(self, service, app, url, recorder):
        self.service, self.app, self.url, self.recorder = service, app, url, recorder
        self.session = requests.Session()
        self.session.trust_env = False

    def notify(self, body=None, path=DATAVERSE_HOOK, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body or a_notification()).encode()
        told = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.session.post(f"{self.url}{path}", data=data, headers=told, timeout=30)

    def get(self, path):
        return self.session.get(f"{self.url}{path}", timeout=30)

    @property
    def waiting(self):
        return self.service.events.counts().active


@pytest.fixture
def served(tmp_path, serve):
    with ExitStack() as closing:

        def start(strict=False, credentials=None, **facts):
            configured = Settings(runner_data_dir=tmp_path, runner_registrations=REGISTRATIONS, **facts)
            recorder, metrics = Recorder(), Metrics()
            service = closing.enter_context(opened(configured, FanOut(recorder, metrics), strict=strict))
            app = ServeApp(service, metrics, lambda: True)
            closing.callback(app.close)
            if credentials is not None:
                app._hooks[DATAVERSE_HOOK] = DataverseHook(service.intake, credentials)
            there = Served(service, app, serve(app), recorder)
            closing.enter_context(there.session)
            return there

        yield start


def test_a_notification_is_on_the_queue_when_it_is_answered(served) -> None:
    there = served()
    assert there.notify().status_code == 202
    assert there.waiting == 1


def test_the_same_notification_twice_is_one_message(served) -> None:
    there, told = served(), a_notification()
    assert {there.notify(told).status_code for _ in range(3)} == {202}
    assert there.waiting == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[]", {}, 400),
        (b"<s:Envelope/>", {}, 400),
        (b"@\x06string", {}, 400),
        (b'{"a":' * 60_000, {}, 400),
        (b"{}", {}, 400),
        (b"{}", {"Content_Type": "text/xml"}, 415),
        (b" " * (MAX_BODY + 1), {}, 413),
    ],
    ids=["empty", "no json", "no text", "a list", "xml", "binary", "deep", "no message", "content type", "too long"],
)
def test_what_is_no_notification_is_refused(served, body, headers, status) -> None:
    there = served()
    assert there.notify(body, **headers).status_code == status
    assert there.waiting == 0


def test_a_step_whose_name_is_no_text_is_refused(served) -> None:
    extension = {"LogicalName": "sdkmessageprocessingstep", "Id": new_guid(), "Name": False}
    assert served().notify(a_notification(OwningExtension=extension)).status_code == 400


def test_a_body_that_announces_more_than_is_taken_is_not_read(served) -> None:
    address = urlsplit(served().url)
    connection = HTTPConnection(address.hostname, address.port, timeout=30)
    connection.putrequest("POST", DATAVERSE_HOOK)
    connection.putheader("Content-Length", str(300 * 1024 * 1024))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_that_never_says_how_long_it_is_is_read_no_further_than_the_limit(served) -> None:
    there = served()
    body = (b" " * 65536 for _ in range(16))
    answer = there.session.post(f"{there.url}{DATAVERSE_HOOK}", data=body, timeout=30)
    assert (answer.status_code, there.waiting) == (413, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_a_notification_with_anything_wrong_in_it_is_never_an_error_of_ours(served) -> None:
    there = served()
    members = sorted(
        [*a_notification(), "OwningExtension", "ParentContext", "SharedVariables", "PreEntityImages", "Depth"]
    )

    @settings(max_examples=60)
    @given(st.sampled_from(members), JSON)
    def holds(member, value) -> None:
        assert there.notify(a_notification(**{member: value})).status_code in (202, 400)

    holds()


SAMPLES = sorted((Path(__file__).parents[4] / "shared" / "data" / "remote-execution-context").glob("*.json"))


@pytest.mark.skipif(not SAMPLES, reason="the captured notifications are not here")
@pytest.mark.parametrize("names_our_step", [False, True])
def test_a_captured_notification_with_anything_wrong_in_it_is_refused_or_kept(served, names_our_step) -> None:
    """Never an error of ours, and what is accepted is on the queue, to be handled or set aside there."""
    there = served()
    sent = iter(range(10**6))

    @settings(max_examples=80)
    @given(st.sampled_from(SAMPLES), st.data())
    def holds(sample, data) -> None:
        document = json.loads(sample.read_bytes())
        if names_our_step:
            document["OwningExtension"] = {"LogicalName": "sdkmessageprocessingstep", "Id": OUR_STEP}
        document["OperationId"] = document["CorrelationId"] = str(UUID(int=next(sent) + 1))
        *path, last = data.draw(st.sampled_from(list(places(document))))
        parent = document
        for step in path:
            parent = parent[step]
        parent[last] = data.draw(JSON)
        before = there.waiting
        answer = there.notify(json.dumps(document).encode())
        assert answer.status_code in (202, 400)
        ignored = answer.text.startswith("No step is registered")
        assert there.waiting - before == (answer.status_code == 202 and not ignored)

    holds()


def places(value, path=()):
    """The way to every member of a document."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*path, key)
        yield from places(member, (*path, key))


def test_an_unknown_step_is_accepted_with_a_trace(served) -> None:
    there = served()
    assert there.notify(a_notification(MessageName="Assign")).status_code == 202
    assert (there.waiting, there.recorder.records[-1].station) == (0, "ignored")


def test_an_unknown_step_is_refused_when_that_is_wanted(served) -> None:
    answer = served(strict=True).notify(a_notification(MessageName="Assign"))
    assert answer.status_code == 404
    assert "Assign of new_payment" in answer.text


def test_dataverse_may_show_any_of_the_configured_keys(served) -> None:
    there = served(dataverse_webhook_key=("new key", "old key"))
    answers = [
        there.notify(path=f"{DATAVERSE_HOOK}?code={key}").status_code for key in ("new%20key", "old%20key", "x", "")
    ]
    assert answers == [202, 202, 401, 401]
    assert there.notify().status_code == 401


def test_all_values_of_a_header_or_query_must_be_right(served) -> None:
    two = {"x-key": "a", "x-other": "b"}
    either = Credentials([Credential("header", two), Credential("query", {"k": "v", "k2": "v2"})], Secrets({}))
    there = served(credentials=either)
    assert there.notify(X_Key="a", X_Other="b").status_code == 202
    assert there.notify(X_Key="a").status_code == 401
    assert there.notify(path=f"{DATAVERSE_HOOK}?k=v&k2=v2").status_code == 202
    assert there.notify(path=f"{DATAVERSE_HOOK}?k=v&k2=V2").status_code == 401


@pytest.mark.parametrize("headers", [{"Host": "runner.contoso.com"}, {"Origin": "https://evil.example"}])
def test_without_a_key_only_this_machine_is_let_in(served, headers) -> None:
    """A proxy, or a browser of somebody on this machine, speaks for others."""
    assert served().notify(**headers).status_code == 401


@pytest.mark.parametrize(
    "error",
    [QueueUnavailableError("The disk is full."), QueueError("This is a subscription.")],
    ids=["away", "no queue"],
)
def test_a_queue_that_takes_nothing_is_told_so_that_dataverse_tries_again(served, monkeypatch, error) -> None:
    there = served()

    def refuse(_):
        raise error

    monkeypatch.setattr(there.service.events, "send", refuse)
    answer = there.notify()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert str(error) in answer.text


def test_a_crowd_is_let_in_as_far_as_there_is_room_and_the_rest_may_come_again(served, monkeypatch) -> None:
    """While the disk hangs; who was let in is stored, who was sent away is not."""
    there, hangs = served(), threading.Event()
    there.app._hooks[DATAVERSE_HOOK] = DataverseHook(there.service.intake, there.service.credentials, at_once=3)
    store = there.service.events.send
    monkeypatch.setattr(there.service.events, "send", lambda messages: hangs.wait(30) and store(messages))
    with ThreadPoolExecutor(8) as crowd:
        asked = [crowd.submit(requests.post, f"{there.url}{DATAVERSE_HOOK}", json=a_notification()) for _ in range(8)]
        sent_away = [answer.result() for answer in itertools.islice(as_completed(asked), 5)]
        hangs.set()
        let_in = [answer.result() for answer in asked if answer.result() not in sent_away]
    assert [answer.status_code for answer in sent_away] == [503] * 5
    assert [answer.status_code for answer in let_in] == [202] * 3
    assert there.waiting == 3


def test_too_many_at_once_are_sent_away(served) -> None:
    there = served()
    there.app._hooks[DATAVERSE_HOOK] = DataverseHook(there.service.intake, there.service.credentials, at_once=0)
    assert there.notify().status_code == 503


@pytest.mark.parametrize("path", [DATAVERSE_HOOK, STRIPE_HOOK])
def test_only_post_is_answered(served, path) -> None:
    answer = served().get(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_signed_event_is_on_the_queue_when_it_is_answered(served) -> None:
    there = served()
    simulator = there.service.stripe.simulator
    intent = there.service.stripe.client.v1.payment_intents.create({"amount": 1999, "currency": "usd"})
    simulator.pay(intent.id)
    for delivery in simulator.deliveries():
        assert there.notify(delivery.payload, STRIPE_HOOK, Stripe_Signature=delivery.signature).status_code == 200
    assert there.service.payments.counts().active > 0


@pytest.mark.parametrize("signature", [{}, {"Stripe_Signature": "t=1,v1=00"}])
def test_an_event_nobody_signed_is_refused(served, signature) -> None:
    assert served().notify(b"{}", STRIPE_HOOK, **signature).status_code == 400


def test_health_and_figures_are_there_to_be_read(served) -> None:
    there = served()
    there.notify()
    assert there.get("/healthz").json() == {"status": "alive"}
    assert there.get("/readyz").json() == {"status": "ready"}
    figures = there.get("/metrics").text
    assert 'runner_queue_messages{queue="dataverse-events",state="active"} 1.0' in figures
    assert 'runner_notifications_total{entity="new_payment",message="Create",station="queued"} 1.0' in figures


def test_a_long_queue_at_service_bus_is_not_gone_through_to_tell_health_and_figures(
    served, start_broker, monkeypatch
) -> None:
    broker = start_broker()
    for name in ("dataverse-events", "payment-events"):
        broker.add_queue(name)
    there = served(servicebus_connection_string=broker.connection_string)
    queue, peeked = there.service.events, []
    queue.send([QueueMessage(b"{}", str(number)) for number in range(3)])
    monkeypatch.setattr(type(queue), "_pages", lambda _, limit=None, *__, **___: peeked.append(limit) or [])
    assert there.get("/readyz").json() == {"status": "ready"}
    assert "runner_queue_messages{" not in there.get("/metrics").text
    assert peeked == [1, 1]


def test_it_is_not_ready_while_a_queue_is_away(served, monkeypatch) -> None:
    there = served()

    def away(*_):
        raise QueueUnavailableError("The disk is gone.")

    monkeypatch.setattr(there.service.payments, "peek", away)
    answer = there.get("/readyz")
    assert (answer.status_code, answer.json()["payment-events"]) == (503, "The disk is gone.")


def test_with_nothing_configured_a_row_posted_to_it_gets_its_intent(served) -> None:
    there = served()
    row = {"new_name": "Invoice 7", "new_amount": 19.99}
    answer = there.notify(row, "/api/data/v9.2/new_payments", Prefer="return=representation")
    intents = there.service.stripe.simulator.payment_intents
    assert list(intents) == [answer.json()["new_stripepaymentintentid"]]
