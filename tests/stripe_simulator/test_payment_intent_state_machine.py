"""Whatever merchants, customers and banks do in whatever order, statuses follow Stripe's diagram and money adds up.

Source: https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import stripe
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from azure_bridge.clock import ManualClock
from runner.stripe_simulator import StripeRefusal, StripeSimulator

START = "requires_payment_method"
DIAGRAM = {
    "requires_payment_method": {"requires_confirmation", "requires_action", "processing", "requires_capture"}
    | {"succeeded", "canceled"},
    "requires_confirmation": {"requires_payment_method", "requires_action", "processing", "requires_capture"}
    | {"succeeded", "canceled"},
    "requires_action": {"requires_payment_method", "requires_confirmation", "processing", "requires_capture"}
    | {"succeeded", "canceled"},
    "processing": {"requires_payment_method", "succeeded"},
    "requires_capture": {"succeeded", "canceled"},
    "succeeded": set(),
    "canceled": set(),
}
METHODS = st.sampled_from(
    [
        "pm_card_visa",
        "pm_card_chargeDeclined",
        "pm_card_authenticationRequired",
        "pm_usBankAccount_success",
        "pm_usBankAccount_insufficientFunds",
        "pm_card_refundFail",
        "pm_card_createDispute",
    ]
)
AMOUNTS = st.integers(min_value=50, max_value=5000)


class Payments(RuleBasedStateMachine):
    """Rules try everything at any time; a refusal is an answer like another."""

    made = Bundle("made")

    def __init__(self):
        super().__init__()
        self.simulator = StripeSimulator(clock=ManualClock(), seed=1)
        self.client = self.simulator.client()
        self.statuses = defaultdict(lambda: [START])

    def attempt(self, action, *arguments, **options):
        try:
            action(*arguments, **options)
        except (stripe.InvalidRequestError, stripe.CardError, StripeRefusal, ValueError):
            return
        finally:
            for intent_id, intent in self.simulator.payment_intents.items():
                self.statuses[intent_id].append(intent["status"])

    @rule(target=made, amount=AMOUNTS, capture_method=st.sampled_from(["automatic", "automatic_async", "manual"]))
    def create(self, amount, capture_method):
        methods = {"enabled": True, "allow_redirects": "never"}
        return self.client.v1.payment_intents.create(
            {
                "amount": amount,
                "currency": "usd",
                "capture_method": capture_method,
                "automatic_payment_methods": methods,
            }
        ).id

    @rule(intent=made, method=METHODS)
    def choose(self, intent, method):
        self.attempt(self.client.v1.payment_intents.update, intent, {"payment_method": method})

    @rule(intent=made, amount=AMOUNTS)
    def reprice(self, intent, amount):
        self.attempt(self.client.v1.payment_intents.update, intent, {"amount": amount})

    @rule(intent=made)
    def confirm(self, intent):
        self.attempt(self.client.v1.payment_intents.confirm, intent)

    @rule(intent=made, method=METHODS)
    def pay(self, intent, method):
        self.attempt(self.simulator.pay, intent, method)

    @rule(intent=made, succeed=st.booleans())
    def authenticate(self, intent, succeed):
        self.attempt(self.simulator.authenticate, intent, succeed=succeed)

    @rule(intent=made, succeed=st.sampled_from([None, True, False]))
    def settle(self, intent, succeed):
        self.attempt(self.simulator.settle, intent, succeed=succeed)

    @rule(intent=made, amount=AMOUNTS)
    def capture(self, intent, amount):
        self.attempt(self.client.v1.payment_intents.capture, intent, {"amount_to_capture": amount})

    @rule(intent=made)
    def cancel(self, intent):
        self.attempt(self.client.v1.payment_intents.cancel, intent)

    @rule(intent=made, amount=AMOUNTS)
    def refund(self, intent, amount):
        self.attempt(self.client.v1.refunds.create, {"payment_intent": intent, "amount": amount})

    @rule(intent=made, succeed=st.sampled_from([None, True, False]))
    def settle_refunds(self, intent, succeed):
        for refund in self.client.v1.refunds.list({"payment_intent": intent}):
            self.attempt(self.simulator.settle_refund, refund.id, succeed=succeed)

    @invariant()
    def statuses_follow_the_diagram(self):
        for statuses in self.statuses.values():
            for before, after in pairwise(statuses):
                assert before == after or after in DIAGRAM[before]

    @invariant()
    def amounts_add_up(self):
        for intent in self.simulator.payment_intents.values():
            charge = self.latest_charge(intent)
            received = charge.amount_captured if charge and charge.paid and charge.captured else 0
            assert intent["amount_received"] == received <= intent["amount"]
            assert (intent["status"] == "succeeded") == (received > 0)
            assert (intent["amount_capturable"] > 0) == (intent["status"] == "requires_capture")
            if charge:
                assert charge.amount_refunded == self.given_back(charge.id) <= charge.amount
                assert charge.refunded == (charge.amount_refunded == charge.amount)

    @invariant()
    def every_status_was_told(self):
        told = {
            (event["data"]["object"]["id"], event["type"])
            for event in self.simulator.events
            if event["type"].startswith("payment_intent.")
        }
        for intent_id, intent in self.simulator.payment_intents.items():
            if intent["status"] in ("succeeded", "canceled", "processing", "requires_action"):
                assert (intent_id, f"payment_intent.{intent['status']}") in told

    def latest_charge(self, intent):
        return self.client.v1.charges.retrieve(intent["latest_charge"]) if intent["latest_charge"] else None

    def given_back(self, charge_id):
        refunds = self.client.v1.refunds.list({"charge": charge_id, "limit": 100})
        return sum(refund.amount for refund in refunds if refund.status in ("succeeded", "pending"))


Payments.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestPayments = Payments.TestCase
