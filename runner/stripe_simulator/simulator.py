"""The simulator's interface for programs and tests: the API, and the actions of customers and banks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import stripe

from azure_bridge.clock import Clock, SystemClock
from runner.stripe_simulator import attempts, checkout, deadlines, disputes, payment_intents, refunds, webhooks
from runner.stripe_simulator.account import Account, Ids
from runner.stripe_simulator.account_file import AccountFile
from runner.stripe_simulator.api import Answer, Api, RequestRecord
from runner.stripe_simulator.errors import CardDeclined
from runner.stripe_simulator.faults import Fault
from runner.stripe_simulator.http import SimulatorClient
from runner.stripe_simulator.idempotency import LIFETIME
from runner.stripe_simulator.jsons import JSON, copied
from runner.stripe_simulator.webhooks import Delivery

API_KEY = "sk_test_simulator"
WEBHOOK_SECRET = "whsec_simulator_0123456789abcdef"  # noqa: S105 - signs simulated events only


class StripeSimulator:
    """Stripe in test mode, in process. Pass :meth:`http_client` to the SDK, or use :meth:`client`.

    The actions of customers and banks are methods, as no merchant's API has them: ``pay``, ``authenticate``,
    ``settle``, ``open_dispute`` and others. They return a copy of the changed object.

    Source: https://docs.stripe.com/testing
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        api_key: str = API_KEY,
        webhook_secret: str = WEBHOOK_SECRET,
        search_lag: timedelta = timedelta(0),
        seed: int | None = None,
        file: Path | None = None,
    ) -> None:
        """
        Args:
          file: keeps the account beyond the process, even after a crash; without one it is in memory.
          search_lag: the delay of search; Stripe's is normally under a minute.
          seed: makes the ids the same in every run; without one they are unique.

        Raises:
          AccountFileError: the file cannot be used, or another process uses it.
        """
        self.clock = clock or SystemClock()
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self._account = Account(self.clock, Ids(seed), webhook_secret, search_lag)
        self._file = None if file is None else AccountFile(file)
        if self._file is not None:
            self._account.restore(self._file.objects())
            self._account.storage = self._file
        saved_keys = () if self._file is None else self._file.saved_keys(since=self.clock.now() - LIFETIME)
        self._api = Api(self._account, api_key, saved_keys)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def http_client(self) -> SimulatorClient:
        return SimulatorClient(self._api)

    def client(self, **options: Any) -> stripe.StripeClient:
        """The SDK's client. ``options`` are the SDK's, such as ``max_network_retries``; retries have no delay."""
        return stripe.StripeClient(self.api_key, http_client=self.http_client(), **options)

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """Answer a request, for example one received over HTTP. Raises ConnectionReset when a fault requests it."""
        return self._api.answer(method, url, headers, body)

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """All requests in order, with or without a response."""
        return tuple(self._api.log)

    @property
    def payment_intents(self) -> Mapping[str, JSON]:
        """Copies of all intents by id, oldest first."""
        with self._account.lock:
            return MappingProxyType({i["id"]: copied(i) for i in self._account.all("payment_intent")})

    @property
    def events(self) -> list[JSON]:
        """All events in order; Stripe does not deliver them in any particular order."""
        with self._account.lock:
            return self._account.all("event")

    def deliveries(
        self,
        events: Sequence[JSON] | None = None,
        *,
        twice: bool = False,
        shuffle: int | None = None,
        late: timedelta = timedelta(0),
        secret: str | None = None,
    ) -> list[Delivery]:
        """``events`` (default: all) as signed requests.

        ``shuffle`` is the seed of a random order. ``late`` is the delay of the attempt, with a signature of that time,
        as Stripe signs each attempt again. ``secret`` signs with another secret than ``webhook_secret``.
        """
        timestamp = int((self.clock.now() + late).timestamp())
        chosen = self.events if events is None else events
        made = [webhooks.deliver(event, secret or self.webhook_secret, timestamp) for event in chosen]
        made = webhooks.twice(made) if twice else made
        return made if shuffle is None else webhooks.shuffled(made, shuffle)

    def listen(self, listener: Callable[[JSON], None]) -> list[JSON]:
        """Call ``listener`` with each event from now on. Returns those not acknowledged so far."""
        with self._account.lock:
            self._account.listeners.append(listener)
            return [event for event in self._account.all("event") if event["pending_webhooks"]]

    @property
    def webhook_endpoints(self) -> list[JSON]:
        """Copies of the account's endpoints, oldest first."""
        with self._account.lock:
            return [copied(endpoint) for endpoint in self._account.all("webhook_endpoint")]

    def acknowledge(self, event_id: str) -> None:
        """Set ``delivery_success`` of an event, after an endpoint answered 2xx."""
        with self._account.acting():
            self._account.find("event", event_id)["pending_webhooks"] = 0

    def sign(self, payload: bytes, secret: str | None = None, timestamp: int | None = None) -> str:
        """The Stripe-Signature of any body; ``timestamp`` is in Unix seconds (default: now)."""
        now = int(self.clock.now().timestamp()) if timestamp is None else timestamp
        return webhooks.sign(payload, secret or self.webhook_secret, now)

    def pay(self, intent_or_session_id: str, payment_method: str = "pm_card_visa") -> JSON:
        """Pay as a customer in the browser. A decline is not an error, but a new state of the intent.

        Raises:
          StripeRefusal: there is no such intent or session, or it cannot be paid any more.
        """
        if intent_or_session_id.startswith("cs_"):
            return self.complete_checkout(intent_or_session_id, payment_method)
        with self._account.acting():
            intent = self._account.find("payment_intent", intent_or_session_id, "intent")
            _ignoring_declines(payment_intents.pay, self._account, intent, payment_method)
            checkout.complete_session_of(self._account, intent)
            return copied(intent)

    def complete_checkout(self, session_id: str, payment_method: str = "pm_card_visa") -> JSON:
        """Pay as a customer on the page. A decline leaves the session open for another attempt.

        Raises:
          StripeRefusal: the session is complete or expired, or does not exist.
        """
        with self._account.acting():
            deadlines.meet(self._account)
            session = self._account.find("checkout.session", session_id, "session")
            _ignoring_declines(checkout.pay, self._account, session, payment_method)
            return copied(session)

    def expire(self, session_id: str) -> JSON:
        """Expire a session that was not paid."""
        with self._account.acting():
            return copied(checkout.expire(self._account, {}, session_id))

    def authenticate(self, intent_id: str, *, succeed: bool = True) -> JSON:
        """Pass or fail 3-D Secure as a customer."""
        with self._account.acting():
            intent = self._in("payment_intent", intent_id, "requires_action")
            step = attempts.proceed if succeed else attempts.refuse_authentication
            _ignoring_declines(step, self._account, intent)
            checkout.complete_session_of(self._account, intent)
            return copied(intent)

    def settle(self, intent_id: str, *, succeed: bool | None = None) -> JSON:
        """Settle a ``processing`` debit as the bank: as the test method does, unless ``succeed`` is given."""
        with self._account.acting():
            intent = self._in("payment_intent", intent_id, "processing")
            attempts.settle(self._account, intent, succeed)
            checkout.settle(self._account, intent)
            return copied(intent)

    def settle_refund(self, refund_id: str, *, succeed: bool | None = None) -> JSON:
        """Settle a pending or succeeded refund as the bank: as the test method does, unless ``succeed`` is given."""
        with self._account.acting():
            refund = self._in("refund", refund_id, "pending", "succeeded")
            refunds.settle(self._account, refund, succeed)
            return copied(refund)

    def open_dispute(self, charge_or_intent_id: str, *, reason: str = "fraudulent", inquiry: bool = False) -> JSON:
        """Dispute a charge as a customer; an ``inquiry`` does not demand the money back."""
        with self._account.acting():
            charge_id = charge_or_intent_id
            if charge_id.startswith("pi_"):
                charge_id = str(self._account.find("payment_intent", charge_id)["latest_charge"])
            status = "warning_needs_response" if inquiry else "needs_response"
            charge = self._in("charge", charge_id, "succeeded")
            return copied(disputes.open_dispute(self._account, charge, reason, status))

    def close_dispute(self, any_id: str, status: str = "lost") -> JSON:
        """Close the open dispute with the id of a dispute, charge or intent, as won, lost or warning_closed."""
        with self._account.acting():
            dispute = disputes.find_open(self._account, any_id)
            return copied(disputes.close_dispute(self._account, dispute, status))

    def fail_next(self, fault: Fault | str, *, times: int = 1, on: str = "") -> None:
        """Let the next ``times`` requests fail with ``fault``, if their path, or method and path, begin with ``on``.

        Raises:
          ValueError: there is no such fault.
        """
        known = list(Fault)
        if fault not in known:
            raise ValueError(f"There is no fault {fault!r}. Known: {', '.join(known)}.")
        self._api.faults.add(Fault(fault), times, on)

    def during_next(self, action: Callable[[], None]) -> None:
        """Call ``action`` after the next POST is executed and before its response is sent."""
        self._api.in_flight.append(action)

    def _in(self, kind: str, resource_id: str, *statuses: str) -> JSON:
        resource = self._account.find(kind, resource_id)
        if resource["status"] not in statuses:
            raise ValueError(
                f"{resource_id} has the status {resource['status']}; this needs one in {' or '.join(statuses)}."
            )
        return resource


def _ignoring_declines(step: Callable[..., None], *arguments: Any) -> None:
    try:
        step(*arguments)
    except CardDeclined:
        """The intent's status shows the decline."""
