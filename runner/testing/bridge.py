"""Delivers Stripe's events to CRM when a test asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azure_bridge.processor import DrainSummary
from azure_bridge.queues.contract import MessageQueue, PeekedMessage
from azure_bridge.receiver import Reception
from runner.simulation.environment import EmbeddedEnvironment
from runner.stripe_simulator import StripeSimulator


class Bridge:
    """Delivers the simulator's events, signed, through the receiver and the durable queue, and applies them."""

    def __init__(self, environment: EmbeddedEnvironment, stripe: StripeSimulator) -> None:
        self._environment = environment
        self._stripe = stripe
        self._delivered = 0

    @property
    def queue(self) -> MessageQueue:
        """The durable queue between receiver and processor."""
        return self._environment.queue

    @property
    def dead_letters(self) -> list[PeekedMessage]:
        """The messages that were set aside."""
        return self.queue.peek(dead_letters=True)

    def receive(
        self,
        events: Sequence[Mapping[str, Any]] | None = None,
        *,
        twice: bool = False,
        shuffle: int | None = None,
        secret: str | None = None,
    ) -> list[Reception]:
        """Post ``events`` to the receiver; without them, those that happened since the last call.

        ``shuffle`` is the seed of a random order; ``secret`` is used to sign them instead of the endpoint's. Returns
        the result for each: ``Accepted`` for the queue, or ``Ignored``.

        Raises:
          SignatureRefusedError: ``secret`` is not the endpoint's.
        """
        happened = self._stripe.events
        chosen = happened[self._delivered :] if events is None else [dict(event) for event in events]
        deliveries = self._stripe.deliveries(chosen, twice=twice, shuffle=shuffle, secret=secret)
        receptions = [self._environment.deliver(each.payload, each.signature) for each in deliveries]
        if events is None:
            self._delivered = len(happened)
        return receptions

    def drain(self) -> DrainSummary:
        """Apply the events that wait on the queue."""
        return self._environment.drain()

    def deliver(
        self, events: Sequence[Mapping[str, Any]] | None = None, *, twice: bool = False, shuffle: int | None = None
    ) -> DrainSummary:
        """:meth:`receive`, then :meth:`drain`."""
        self.receive(events, twice=twice, shuffle=shuffle)
        return self.drain()
