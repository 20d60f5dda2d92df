"""Secrets of a vault that are rotated while requests keep coming: no valid one is refused, and nothing is restarted."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

pytest.importorskip("azure.keyvault.secrets")

import stripe
from key_vault import URL, Vault
from served_stripe import served_stripe

from azure_bridge import key_vault
from azure_bridge.clock import ManualClock
from dataverse_client.types import new_guid
from runner.service.wiring import Service, opened
from runner.settings import Settings, SettingsError
from runner.stripe_simulator import StripeSimulator
from runner.tracing.recorder import Silence
from runner.web.serving.app import DATAVERSE_HOOK, STRIPE_HOOK, ServeApp
from runner.web.serving.metrics import Metrics

REGISTRATIONS = Path(__file__).parents[3] / "registrations.yaml"
OLD, NEW = "whsec_of_the_vault_1", "whsec_of_the_vault_2"
KEYS = ("sk_test_of_the_vault_1", "sk_test_of_the_vault_2")
SENDERS = 3
PHASE = 20


class Roll:
    """``runner serve`` without workers, whose three secrets are in a vault, under a clock that all share."""

    def __init__(self, service: Service, url: str, vault: Vault, clock: ManualClock) -> None:
        self.service, self.vault, self.clock = service, vault, clock
        self._url = url
        self._numbers = count(1)

    def stripe_posts(self, *secrets: str) -> int:
        """While it rolls a secret, Stripe signs with both."""
        body, at = json.dumps(an_event(next(self._numbers))), int(self.clock.now().timestamp())
        signed = [stripe.WebhookSignature.generate_signature_header(body, each, at) for each in secrets]
        header = ",".join([f"t={at}", *(each.partition(",")[2] for each in signed)])
        return self._post(STRIPE_HOOK, body, {"Stripe-Signature": header})

    def dataverse_posts(self, key: str) -> int:
        return self._post(f"{DATAVERSE_HOOK}?code={key}", json.dumps(a_notification()), {})

    def _post(self, path: str, body: str, headers: dict[str, str]) -> int:
        with requests.Session() as session:
            session.trust_env = False
            told = {"Content-Type": "application/json", **headers}
            return session.post(f"{self._url}{path}", data=body, headers=told, timeout=30).status_code


class Load:
    """Events without a pause, signed by whoever signs now; ``answers`` counts how many were answered how."""

    def __init__(self, roll: Roll) -> None:
        self.answers: Counter[tuple[tuple[str, ...], int]] = Counter()
        self._roll = roll
        self._signed_by: tuple[str, ...] = (OLD,)
        self._over, self._changed = threading.Event(), threading.Condition()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def sign_with(self, *secrets: str) -> None:
        """From now on, and until enough were answered."""
        self._signed_by = secrets
        with self._changed:
            assert self._changed.wait_for(lambda: self._answered(secrets) >= PHASE, 60)

    def _answered(self, secrets: tuple[str, ...]) -> int:
        return sum(times for (signed_by, _), times in self.answers.items() if signed_by == secrets)

    def _send(self) -> None:
        while not self._over.is_set():
            secrets = self._signed_by
            status = self._roll.stripe_posts(*secrets)
            with self._changed:
                self.answers[secrets, status] += 1
                self._changed.notify_all()


def an_event(number: int) -> dict[str, Any]:
    intent = {"id": f"pi_{number}", "object": "payment_intent", "metadata": {"CRM_PaymentId": new_guid()}}
    facts = {"id": f"evt_{number}", "object": "event", "created": 1_780_000_000, "livemode": False}
    return {**facts, "type": "payment_intent.processing", "data": {"object": intent}}


def a_notification() -> dict[str, Any]:
    ids = {name: new_guid() for name in ("PrimaryEntityId", "OperationId")}
    facts = {"MessageName": "Create", "PrimaryEntityName": "new_payment", "Stage": 40, "Mode": 1}
    return {**facts, **ids, "InputParameters": [], "OutputParameters": []}


@pytest.fixture
def stripe_server() -> Iterator[str]:
    """Stripe, where the key was rolled already."""
    with served_stripe(StripeSimulator(seed=0, api_key=KEYS[1])) as url:
        yield url


@pytest.fixture
def roll(
    tmp_path: Path,
    serve: Callable[..., str],
    stripe_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Roll]:
    clock = ManualClock(datetime.now(UTC))
    vault = Vault(clock)
    monkeypatch.setattr(key_vault, "_secret_client", vault.client)
    for name, value in (("stripe-webhook", OLD), ("dataverse-webhook", "key-of-the-vault-1"), ("stripe", KEYS[0])):
        vault.set(name, value)
    settings = Settings.load(
        {
            "KEY_VAULT_URL": URL,
            "STRIPE_WEBHOOK_SECRET": "${keyvault:stripe-webhook}",
            "STRIPE_SECRET_KEY": "${keyvault:stripe}",
            "STRIPE_API_BASE": stripe_server,
            "DATAVERSE_WEBHOOK_KEY": "${keyvault:dataverse-webhook}",
            "RUNNER_DATA_DIR": str(tmp_path),
            "RUNNER_REGISTRATIONS": str(REGISTRATIONS),
        }
    )
    with ExitStack() as closing:
        service = closing.enter_context(opened(settings, Silence(), clock=clock))
        app = ServeApp(service, Metrics(), lambda: True)
        closing.callback(app.close)
        yield Roll(service, serve(app), vault, clock)


def test_no_signed_event_is_refused_while_the_secret_is_rolled(roll: Roll) -> None:
    with Load(roll) as load:
        load.sign_with(OLD)
        roll.clock.advance(timedelta(minutes=1))
        roll.vault.set("stripe-webhook", NEW)
        load.sign_with(OLD, NEW)
        load.sign_with(NEW)
    assert set(load.answers) == {((OLD,), 200), ((OLD, NEW), 200), ((NEW,), 200)}


def test_after_the_overlap_the_old_secret_is_refused(roll: Roll) -> None:
    roll.clock.advance(timedelta(minutes=1))
    roll.vault.set("stripe-webhook", NEW)
    assert roll.stripe_posts(NEW) == 200
    roll.clock.advance(timedelta(hours=23))
    assert roll.stripe_posts(OLD) == 200
    roll.clock.advance(timedelta(hours=1))
    assert roll.stripe_posts(OLD) == 400
    assert roll.stripe_posts(NEW) == 200


def test_dataverses_key_is_rolled_the_same_way(roll: Roll) -> None:
    assert roll.dataverse_posts("key-of-the-vault-1") == 202
    roll.clock.advance(timedelta(minutes=1))
    roll.vault.set("dataverse-webhook", "key-of-the-vault-2")
    assert [roll.dataverse_posts(f"key-of-the-vault-{n}") for n in (2, 1, 3)] == [202, 202, 401]
    roll.clock.advance(timedelta(hours=24))
    assert [roll.dataverse_posts(f"key-of-the-vault-{n}") for n in (2, 1)] == [202, 401]


def test_a_vault_that_is_away_makes_stripe_come_again(roll: Roll) -> None:
    """Nobody can say whether the signature is right, and what is known goes on being good."""
    roll.clock.advance(timedelta(minutes=1))
    roll.vault.refusal = 503
    assert roll.stripe_posts(OLD) == 200
    assert roll.stripe_posts("whsec_of_nobody") == 400


def test_stripe_is_asked_with_the_new_key_when_it_refuses_the_old(roll: Roll) -> None:
    intents = roll.service.stripe.client.v1.payment_intents
    with pytest.raises(stripe.AuthenticationError):
        intents.create({"amount": 100, "currency": "eur"})
    roll.clock.advance(timedelta(minutes=1))
    roll.vault.set("stripe", KEYS[1])
    assert intents.create({"amount": 100, "currency": "eur"}).amount == 100


def test_a_live_key_that_is_put_in_place_of_a_test_key_is_not_used(roll: Roll) -> None:
    roll.vault.set("stripe", "sk_live_of_the_vault")
    roll.clock.advance(timedelta(minutes=1))
    roll.service.stripe.webhook_secrets.secrets.renew("${keyvault:stripe}")
    with pytest.raises(SettingsError, match="is a live key"):
        roll.service.stripe.client.v1.payment_intents.create({"amount": 100, "currency": "eur"})
