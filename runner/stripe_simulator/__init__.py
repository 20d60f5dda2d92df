"""Simulates Stripe's test mode in process, without a network.

It follows Stripe's documentation and works with the real SDK: the same statuses, events, error bodies,
idempotency and test payment methods. Importing it imports ``stripe``.

It does not simulate subscriptions, prices, taxes, discounts, Connect or mandates, nor which payment method may pay in
which currency. Amounts that depend on those are refused rather than guessed.
"""

from runner.stripe_simulator.errors import StripeRefusal
from runner.stripe_simulator.faults import Fault
from runner.stripe_simulator.simulator import API_KEY, WEBHOOK_SECRET, StripeSimulator
from runner.stripe_simulator.webhooks import Delivery

__all__ = ["API_KEY", "WEBHOOK_SECRET", "Delivery", "Fault", "StripeRefusal", "StripeSimulator"]
