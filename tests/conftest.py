"""What every package's tests may use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest


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
