"""What Stripe is answered when the vault is away, or one event of several is too large for the queue."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from azure_bridge.observer import SilentObserver
from azure_bridge.queues.contract import MessageTooLargeError, QueueError, QueueMessage
from azure_bridge.receiver import Accepted
from azure_bridge.secrets import SecretSourceError
from azure_bridge.webhook import Reply, StripeWebhook


class Narrow:
    """A queue that stores all of a batch, or nothing where one message is larger than ten bytes."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    def send(self, messages) -> None:
        if any(len(message.body) > 10 for message in messages):
            raise MessageTooLargeError("The message is larger than ten bytes.")
        self.stored += [message.message_id for message in messages]


@pytest.fixture
def queue():
    return Narrow()


def accepted(message_id: str, body: bytes = b"{}") -> Accepted:
    return Accepted(SimpleNamespace(), QueueMessage(body, message_id))


def test_an_event_that_is_too_large_takes_none_along_that_came_with_it(queue) -> None:
    webhook = StripeWebhook(None, queue, SilentObserver())
    replies = webhook.store_all([accepted("evt_1"), accepted("evt_2", b"x" * 11), accepted("evt_3")])
    assert [reply.status for reply in replies] == [200, 413, 200]
    assert queue.stored == ["evt_1", "evt_3"]


def test_while_the_queue_takes_nothing_stripe_is_asked_to_come_again() -> None:
    """Such as a subscription, to which nobody can send."""

    def refuse(_):
        raise QueueError("This is a subscription.")

    webhook = StripeWebhook(None, SimpleNamespace(send=refuse), SilentObserver())
    assert webhook.store(accepted("evt_1")) == Reply(503, "The queue takes nothing: This is a subscription.")


def test_while_the_vault_is_away_stripe_is_asked_to_come_again(queue) -> None:
    def away(*_):
        raise SecretSourceError("the vault did not answer whsec_abc123")

    receiver = SimpleNamespace(receive=away, renew_secrets=away)
    webhook = StripeWebhook(receiver, queue, SilentObserver())
    expected = Reply(503, "the vault did not answer whsec_***")
    assert webhook.read(b"{}", "t=1") == webhook.read_again(b"{}", "t=1") == expected


def test_without_a_bridge_there_is_nobody_to_receive(queue) -> None:
    assert StripeWebhook(None, queue, SilentObserver()).read(b"{}", "t=1").status == 404
