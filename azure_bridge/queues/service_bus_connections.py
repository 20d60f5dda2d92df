"""Connections of the Azure SDK that open and close without naps, and leave no socket behind.

A connection of azure-servicebus 7.15 opens in ten steps with a nap of 50 ms after each, and closing one waits for a
thread that wakes up once a second: a second for a reconnection that takes 30 ms. One that broke is taken for closed
when it is closed, so that its socket stays open until the garbage collector finds it.
"""

from __future__ import annotations

import time
from typing import Any

from azure.servicebus import ServiceBusClient

#: Seconds to open without naps. A service that takes longer is waited for in the SDK's way, and within its limits.
_WITHOUT_NAPS = 1.0


def with_brisk_connections(client: ServiceBusClient) -> ServiceBusClient:
    """``client``, whose senders and receivers waste no time on a connection, and close all there is of it."""
    transport: Any = client._amqp_transport

    class BriskTransport(transport):  # type: ignore[misc]  # the client says only at run time what its transport is
        @staticmethod
        def create_send_client(*arguments: Any, **options: Any) -> Any:
            return _brisk(transport.create_send_client(*arguments, **options))

        @staticmethod
        def create_receive_client(*arguments: Any, **options: Any) -> Any:
            return _brisk(transport.create_receive_client(*arguments, **options))

    client._amqp_transport = BriskTransport
    return client


def _brisk(connecting: Any) -> Any:
    """The SDK's AMQP client, which is one connection, its session and its link."""
    open_slowly, close_slowly = connecting.open, connecting.close

    def open_at_once(connection: Any = None) -> None:
        open_slowly(connection=connection)
        deadline = time.monotonic() + _WITHOUT_NAPS
        # Each turn waits for one answer of the service.
        while not connecting.client_ready() and time.monotonic() < deadline:
            pass

    def close_all() -> None:
        # Closing forgets the connection. The thread that keeps it alive sees that for itself.
        connection, connecting._keep_alive_thread = connecting._connection, None
        try:
            close_slowly()
        finally:
            if connection is not None:
                connection._transport.close()

    connecting.open, connecting.close = open_at_once, close_all
    return connecting
