"""The simulator as programs and tests use it: the API, and the customers and banks behind it."""

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
    """Stripe in test mode, in process: give :meth:`http_client` to the SDK, or take :meth:`client` ready made.

    Customers, banks and time act through the methods that no merchant's API has: ``pay``, ``authenticate``,
    ``settle``, ``open_dispute`` and the rest. What they return is a copy of the object they changed.

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
          file: keeps the account from one process to the next, whatever ends it; without one it is in memory.
          search_lag: how far searching is behind; at Stripe it is normally under a minute.
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
            self._account.keeper = self._file
        answered = () if self._file is None else self._file.answered(since=self.clock.now() - LIFETIME)
        self._api = Api(self._account, api_key, answered)

    def close(self) -> None:
        """Let go of the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def http_client(self) -> SimulatorClient:
        return SimulatorClient(self._api)

    def client(self, **options: Any) -> stripe.StripeClient:
        """``options`` are the SDK's own, such as ``max_network_retries``; a retry follows at once."""
        return stripe.StripeClient(self.api_key, http_client=self.http_client(), **options)

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """What the API answers to a request, whoever carried it. Raises ConnectionReset where a fault asks for it."""
        return self._api.answer(method, url, headers, body)

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """Every request that came in, in order, answered or not."""
        return tuple(self._api.log)

    @property
    def payment_intents(self) -> Mapping[str, JSON]:
        """Copies of all intents by id, oldest first."""
        with self._account.lock:
            return MappingProxyType({i["id"]: copied(i) for i in self._account.all("payment_intent")})

    @property
    def events(self) -> list[JSON]:
        """Everything that happened, in order; Stripe delivers it in no particular one."""
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
        """``events`` (all of them unless given) as signed requests.

        ``shuffle`` is the seed of another order. ``late``: attempted that long after now, with a signature of that
        moment, as Stripe signs each attempt anew. ``secret``: signed with another one than ``webhook_secret``.
        """
        timestamp = int((self.clock.now() + late).timestamp())
        chosen = self.events if events is None else events
        made = [webhooks.deliver(event, secret or self.webhook_secret, timestamp) for event in chosen]
        made = webhooks.twice(made) if twice else made
        return made if shuffle is None else webhooks.shuffled(made, shuffle)

    def listen(self, listener: Callable[[JSON], None]) -> list[JSON]:
        """Call ``listener`` with each event from now on, as it happens. Returns those not acknowledged so far."""
        with self._account.lock:
            self._account.listeners.append(listener)
            return [event for event in self._account.all("event") if event["pending_webhooks"]]

    @property
    def webhook_endpoints(self) -> list[JSON]:
        """Copies of the account's endpoints, oldest first."""
        with self._account.lock:
            return [copied(endpoint) for endpoint in self._account.all("webhook_endpoint")]

    def acknowledge(self, event_id: str) -> None:
        """The endpoint answered 2xx: ``delivery_success`` is true of the event from now on."""
        with self._account.acting():
            self._account.find("event", event_id)["pending_webhooks"] = 0

    def sign(self, payload: bytes, secret: str | None = None, timestamp: int | None = None) -> str:
        """The Stripe-Signature of any body; ``timestamp`` is Unix seconds, now unless given."""
        now = int(self.clock.now().timestamp()) if timestamp is None else timestamp
        return webhooks.sign(payload, secret or self.webhook_secret, now)

    def pay(self, intent_or_session_id: str, payment_method: str = "pm_card_visa") -> JSON:
        """The customer pays in the browser. A decline is the intent's new state, not an error.

        Raises:
          StripeRefusal: there is nothing of that id to pay, or no longer.
        """
        if intent_or_session_id.startswith("cs_"):
            return self.complete_checkout(intent_or_session_id, payment_method)
        with self._account.acting():
            intent = self._account.find("payment_intent", intent_or_session_id, "intent")
            _ignoring_declines(payment_intents.pay, self._account, intent, payment_method)
            checkout.follow(self._account, intent)
            return copied(intent)

    def complete_checkout(self, session_id: str, payment_method: str = "pm_card_visa") -> JSON:
        """The customer pays on the page. A decline leaves the session open for another try.

        Raises:
          StripeRefusal: the session is complete or expired, or there is none.
        """
        with self._account.acting():
            deadlines.meet(self._account)
            session = self._account.find("checkout.session", session_id, "session")
            _ignoring_declines(checkout.pay, self._account, session, payment_method)
            return copied(session)

    def expire(self, session_id: str) -> JSON:
        """The customer never paid, and the page's time is over."""
        with self._account.acting():
            return copied(checkout.expire(self._account, {}, session_id))

    def authenticate(self, intent_id: str, *, succeed: bool = True) -> JSON:
        """The customer passes, or fails, 3-D Secure."""
        with self._account.acting():
            intent = self._in("payment_intent", intent_id, "requires_action")
            step = attempts.proceed if succeed else attempts.refuse_authentication
            _ignoring_declines(step, self._account, intent)
            checkout.follow(self._account, intent)
            return copied(intent)

    def settle(self, intent_id: str, *, succeed: bool | None = None) -> JSON:
        """The bank answers a debit that is ``processing``: as the test method says, unless ``succeed`` is given."""
        with self._account.acting():
            intent = self._in("payment_intent", intent_id, "processing")
            attempts.settle(self._account, intent, succeed)
            checkout.settle(self._account, intent)
            return copied(intent)

    def settle_refund(self, refund_id: str, *, succeed: bool | None = None) -> JSON:
        """The bank answers a refund, pending or thought done: as the test method says, unless ``succeed`` is given."""
        with self._account.acting():
            refund = self._in("refund", refund_id, "pending", "succeeded")
            refunds.settle(self._account, refund, succeed)
            return copied(refund)

    def open_dispute(self, charge_or_intent_id: str, *, reason: str = "fraudulent", inquiry: bool = False) -> JSON:
        """The customer asks the bank for the money back; an ``inquiry`` only asks what it was for."""
        with self._account.acting():
            charge_id = charge_or_intent_id
            if charge_id.startswith("pi_"):
                charge_id = str(self._account.find("payment_intent", charge_id)["latest_charge"])
            status = "warning_needs_response" if inquiry else "needs_response"
            charge = self._in("charge", charge_id, "succeeded")
            return copied(disputes.open_dispute(self._account, charge, reason, status))

    def close_dispute(self, any_id: str, status: str = "lost") -> JSON:
        """End the open dispute of that id, or of that charge or intent; ``status``: won, lost or warning_closed."""
        with self._account.acting():
            dispute = disputes.find_open(self._account, any_id)
            return copied(disputes.close_dispute(self._account, dispute, status))

    def fail_next(self, fault: Fault | str, *, times: int = 1, on: str = "") -> None:
        """The next ``times`` requests meet ``fault``; ``on`` is how their path, or method and path, must begin.

        Raises ValueError: there is no such fault.
        """
        known = list(Fault)
        if fault not in known:
            raise ValueError(f"There is no fault {fault!r}. Known: {', '.join(known)}.")
        self._api.faults.add(Fault(fault), times, on)

    def during_next(self, action: Callable[[], None]) -> None:
        """Call ``action`` while the next POST is in flight: executed, and not yet answered."""
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
        """The intent says so."""
