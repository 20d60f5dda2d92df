"""A web server in this process: its socket, uvicorn, and an orderly shutdown.

Source: https://www.uvicorn.org/settings/
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from runner.web.certificate import Certificate

#: Bytes of request line and headers. URLs carry FetchXML, and Dataverse takes them up to 64 KB inside a batch.
_MAX_HEAD = 128 * 1024
#: Seconds an idle connection is kept.
_KEEP_ALIVE = 65
#: Seconds a client has to answer the end of a TLS connection.
_GOODBYE = 1.0


class ServerError(Exception):
    """The address cannot be listened on. The message says which, why, and what to do."""

    exit_code = 2


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 is any free one.

    Raises:
      ServerError: the port is taken, or the host is no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServerError(f"{host} is no address to listen on: {error.strerror}. Give another --host.") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        # Now rather than when the event loop starts: a second server must fail here, where it can be told.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise _refused(host, port, error) from error
    return bound


def _refused(host: str, port: int, error: OSError) -> ServerError:
    if error.errno == errno.EADDRINUSE:
        return ServerError(f"Port {port} on {host} is in use. Stop what listens there, or give another: --port 0")
    return ServerError(f"{host} port {port} cannot be listened on: {error.strerror}. Give another --host or --port.")


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(bound: socket.socket, host: str, *, secure: bool) -> str:
    """The address clients on this machine use, without a slash at its end."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - asks, does not bind
    name = f"[{name}]" if ":" in name else name
    return f"{'https' if secure else 'http'}://{name}:{bound.getsockname()[1]}"


def _nothing() -> None:
    """Nobody wants to know."""


class Server(uvicorn.Server):
    """Serves an ASGI application on a bound socket and says when it does."""

    def __init__(self, app: Any, bound: socket.socket, certificate: Certificate | None = None) -> None:
        config = uvicorn.Config(
            app,
            access_log=False,
            h11_max_incomplete_event_size=_MAX_HEAD,
            lifespan="off",
            log_level="warning",
            server_header=False,
            ssl_certfile=certificate.chain if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
            timeout_keep_alive=_KEEP_ALIVE,
            ws="none",
        )
        super().__init__(config)
        self._bound = bound
        self._when_ready = self._when_stopping = _nothing

    def serve_until_stopped(self, when_ready: Callable[[], None], when_stopping: Callable[[], None] = _nothing) -> None:
        """Serve until Ctrl-C or SIGTERM, or until ``should_exit`` is set; requests being answered are finished.

        ``when_ready`` is called once the first request would be answered, ``when_stopping`` before no further one is.
        """
        self._when_ready, self._when_stopping = when_ready, when_stopping
        with _Termination(), asyncio.Runner(loop_factory=_event_loop) as runner:
            runner.run(self.serve(sockets=[self._bound]))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._when_stopping()
        await super().shutdown(sockets)


def _event_loop() -> asyncio.AbstractEventLoop:
    """One whose servers do not wait half a minute, at their end, for idle clients to say goodbye to TLS."""
    loop = asyncio.new_event_loop()
    plain: Any = loop.create_server

    def create_server(*arguments: Any, ssl: Any = None, **options: Any) -> Any:
        goodbye = {"ssl_shutdown_timeout": _GOODBYE} if ssl else {}
        return plain(*arguments, ssl=ssl, **options, **goodbye)

    loop.create_server = create_server  # type: ignore[method-assign]  # uvicorn has no setting for it
    return loop


class _Termination:
    """Lets SIGTERM end a server as Ctrl-C does, and takes both for the wish they are, not for an error."""

    def __enter__(self) -> None:
        self._previous: Any = None
        try:
            self._previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        except ValueError:
            return  # Not the main thread: signals are somebody else's.

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
        return kind is KeyboardInterrupt
