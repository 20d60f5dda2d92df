"""Which messages had steps run."""

from __future__ import annotations

import pytest


@pytest.fixture
def ran(on):
    """``ran("Assign")`` registers a step for the message, and answers the messages whose steps have run so far."""
    messages = []

    def register(message, entity="account"):
        on(message, 20, entity=entity)(lambda context: messages.append(context.message_name))
        return messages

    return register
