"""Real processes on this machine: see :mod:`serving_world`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from serving_world import Process, World, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as closing:
        yield World(tmp_path, closing)


@pytest.fixture
def processes() -> Iterator[Callable[..., Process]]:
    """Starts commands that are stopped after the test."""
    with ExitStack() as closing:

        def start(*arguments: str, **options: Any) -> Process:
            process = Process(*arguments, **options)
            closing.callback(process.stop)
            return process

        yield start


@pytest.fixture(name="until")
def waiting_until() -> Callable[..., None]:
    return until
