"""Makes connections of the Azure SDK open and close without sleeping, and close their sockets.

A connection of azure-servicebus 7.15 opens in ten steps and sleeps 50 ms after each. Closing it waits for a thread that
wakes up once a second. So a reconnection that needs 30 ms takes a second. Closing a broken connection does nothing,
which leaves its socket open until the garbage collector finds it.
"""

from __future__ import annotations

import time
from typing import Any

from azure.servicebus import ServiceBusClient

#: Seconds to open without sleeping. After that the SDK goes on waiting in its own way, within its own limits.
_WITHOUT_SLEEPING = 1.0


def with_brisk_connections(client: ServiceBusClient) -> ServiceBusClient:
    """``client``, after giving its senders and receivers connections that open at once and close completely."""
    transport: Any = client._amqp_transport

    class BriskTransport(transport):  # type: ignore[misc]  # the client's transport is known at run time only
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
        deadline = time.monotonic() + _WITHOUT_SLEEPING
        # Each call waits for one answer of the service.
        while not connecting.client_ready() and time.monotonic() < deadline:
            pass

    def close_all() -> None:
        # Closing clears ``_connection``, and the keep-alive thread ends when it sees that: there is no need to wait.
        connection, connecting._keep_alive_thread = connecting._connection, None
        try:
            close_slowly()
        finally:
            if connection is not None:
                connection._transport.close()

    connecting.open, connecting.close = open_at_once, close_all
    return connecting
