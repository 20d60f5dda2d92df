"""Which steps ran, and what they were told."""

from __future__ import annotations

import pytest


@pytest.fixture
def ran(on):
    """``ran("Create", stage, label)`` registers a step that adds its label to the list it returns."""
    labels = []

    def register(message, stage, label, **more):
        on(message, stage, name=label, **more)(lambda context: labels.append(label))
        return labels

    return register


@pytest.fixture
def seen(on):
    """``seen("Create", stage)`` registers a step and answers, after the operation, the context it had."""

    def register(message, stage, **more):
        contexts = []
        on(message, stage, **more)(contexts.append)
        return lambda: contexts[-1]

    return register
