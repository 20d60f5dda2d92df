"""Addresses of this machine that stay as they are: one at which nobody listens, one for a server that comes back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import SystemRandom

_HOST = "127.0.0.1"
#: Below what systems give to whoever asks for any port: no connection takes one of these by chance.
_LOW = range(20_000, 32_000)


@contextmanager
def nobody_listens() -> Iterator[str]:
    """A URL that refuses every connection until the block ends."""
    with socket.socket() as nobody:
        nobody.bind((_HOST, 0))
        yield f"http://{_HOST}:{nobody.getsockname()[1]}"


@contextmanager
def kept_port() -> Iterator[int]:
    """A port to listen at again and again; no other test is given it until the block ends."""
    with closing(_marked()) as mark:
        yield mark.getsockname()[1]


def _marked() -> socket.socket:
    """A socket for datagrams, whose ports are others: it marks the number, is in no server's way, and dies with us."""
    while True:
        mark, port = socket.socket(type=socket.SOCK_DGRAM), SystemRandom().choice(_LOW)
        try:
            mark.bind((_HOST, port))
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((_HOST, port))
        except OSError:
            mark.close()
        else:
            return mark
