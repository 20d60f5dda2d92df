"""What tests of several packages share: a clock, a stand-in for Azure Service Bus, and servers of ASGI applications."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from azure_bridge.clock import ManualClock

if TYPE_CHECKING:
    from service_bus_broker.broker import Broker

sys.path.insert(0, str(Path(__file__).parent))

# The same examples every time, however busy the machine is: `pytest --hypothesis-profile explore` looks for new ones.
# Fixtures that all examples of a test share are meant: the tests tell their rows apart.
_unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("explore", _unhurried)
settings.register_profile("repeat", _unhurried, derandomize=True)
settings.load_profile("repeat")


def pytest_configure(config: pytest.Config) -> None:
    from leaks import Leaks

    config.pluginmanager.register(Leaks())


@pytest.fixture
def clock() -> ManualClock:
    """Stands still until the test lets time pass."""
    return ManualClock()


@pytest.fixture(scope="session")
def broker_class() -> type[Broker]:
    """The stand-in. Skips where it cannot run, except in CI."""
    try:
        from service_bus_broker.broker import Broker
    except ImportError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the Service Bus stand-in needs python-qpid-proton, built with a C compiler: {error}")
    return Broker


@pytest.fixture
def start_broker(broker_class: type[Broker]) -> Iterator[Callable[..., Broker]]:
    """Starts stand-ins that stop after the test."""
    with ExitStack() as running:

        def start(**settings: Any) -> Broker:
            return running.enter_context(broker_class(**settings))

        yield start


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serves an ASGI application on a free port of this machine until the test ends; answers its URL."""
    with ExitStack() as servers:
        yield lambda app, certificate=None: servers.enter_context(_serving(app, certificate))


@contextmanager
def _serving(app: Any, certificate: Any) -> Iterator[str]:
    from runner.web.server import Server, listen, url_of

    with listen("127.0.0.1", 0) as bound:
        server, ready = Server(app, bound, certificate), threading.Event()
        thread = threading.Thread(target=server.serve_until_stopped, args=(ready.set,))
        thread.start()
        try:
            assert ready.wait(30)
            yield url_of(bound, "127.0.0.1", secure=certificate is not None)
        finally:
            server.should_exit = True
            thread.join()
