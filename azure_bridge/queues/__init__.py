"""The queue contract and its two engines. :func:`open_queue` chooses one."""

from __future__ import annotations

from pathlib import Path

from azure_bridge.clock import Clock
from azure_bridge.queues.contract import MessageQueue

#: The file of the embedded queues, in the data directory.
QUEUE_FILE = "queue.db"


def embedded_exists(directory: Path) -> bool:
    """Whether opening the embedded queues of ``directory`` creates nothing: they are there, or never can be."""
    return (directory / QUEUE_FILE).exists() or (directory.exists() and not directory.is_dir())


def open_queue(
    name: str,
    *,
    directory: Path,
    connection_string: str | None = None,
    namespace: str | None = None,
    clock: Clock | None = None,
) -> MessageQueue:
    """The queue ``name`` at Azure Service Bus if a connection string or namespace is given, else in ``directory``.

    Raises:
      QueueUnavailableError: the embedded queue's file cannot be used. Service Bus is first asked when it is used.
      QueueAccessError: the connection string cannot be read.
    """
    if connection_string or namespace:
        from azure_bridge.queues.service_bus import ServiceBusQueue, connect

        return ServiceBusQueue(connect(connection_string, namespace), name, clock=clock)
    from azure_bridge.queues.embedded import EmbeddedQueue

    return EmbeddedQueue(directory / QUEUE_FILE, name, clock=clock)
