"""Stripe's events on their way back to CRM, at the pace of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azure_bridge.processor import DrainSummary
from azure_bridge.queues.contract import MessageQueue, PeekedMessage
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
        return self._environment.queue

    @property
    def dead_letters(self) -> list[PeekedMessage]:
        return self.queue.peek(dead_letters=True)

    def receive(
        self, events: Sequence[Mapping[str, Any]] | None = None, *, twice: bool = False, shuffle: int | None = None
    ) -> None:
        """Post events to the receiver: those that happened since the last call, unless told which.

        ``shuffle`` is the seed of another order.
        """
        if events is None:
            happened = self._stripe.events
            events, self._delivered = happened[self._delivered :], len(happened)
        chosen = [dict(event) for event in events]
        for delivery in self._stripe.deliveries(chosen, twice=twice, shuffle=shuffle):
            self._environment.deliver(delivery.payload, delivery.signature)

    def drain(self) -> DrainSummary:
        """Apply what the queue has to give now."""
        return self._environment.drain()

    def deliver(
        self, events: Sequence[Mapping[str, Any]] | None = None, *, twice: bool = False, shuffle: int | None = None
    ) -> DrainSummary:
        """:meth:`receive`, then :meth:`drain`."""
        self.receive(events, twice=twice, shuffle=shuffle)
        return self.drain()
