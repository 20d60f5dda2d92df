"""Checks of the queues: whether they can be reached, and whether they hold dead letters."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from azure_bridge.queues import embedded_exists, open_queue
from azure_bridge.queues.contract import QueueAccessError, QueueError
from runner.doctor.diagnosis import Diagnosis, failed, ok, skipped, warning

if TYPE_CHECKING:
    from runner.settings import Settings


_ACCESS = "Give this identity the roles Service Bus Data Sender and Receiver, or correct the connection string."


def queue(settings: Settings, name: str) -> Diagnosis:
    """Whether the queue can be reached."""
    subject = f"queue {name}"
    place = _place(settings)
    if not settings.is_at_service_bus and not embedded_exists(settings.runner_data_dir):
        return skipped(subject, f"embedded in {settings.runner_data_dir}, created when it is first used")
    try:
        dead = _has_dead_letters(settings, name)
    except QueueAccessError as error:
        return failed(subject, str(error), _ACCESS if settings.is_at_service_bus else "Correct RUNNER_DATA_DIR.")
    except QueueError as error:
        where = (
            "SERVICEBUS_NAMESPACE or SERVICEBUS_CONNECTION_STRING" if settings.is_at_service_bus else "RUNNER_DATA_DIR"
        )
        return failed(subject, str(error), f"Check {where}, and that the queue exists.")
    except ImportError:
        return failed(subject, "Azure's library is missing", "pip install 'dataverse-plugin-runner[azure]'")
    if dead:
        return warning(subject, f"reachable in {place}, with dead letters", "Look at them with runner queue.")
    return ok(subject, f"reachable in {place}")


def _has_dead_letters(settings: Settings, name: str) -> bool:
    # Opening a queue does not connect to Service Bus; peeking does.
    opened = open_queue(
        name,
        directory=settings.runner_data_dir,
        connection_string=settings.servicebus_connection_string,
        namespace=settings.servicebus_namespace,
    )
    with closing(opened):
        return bool(opened.peek(1, dead_letters=True))


def _place(settings: Settings) -> str:
    """Where the queues are, and by which identity they are reached."""
    if settings.servicebus_namespace:
        who = f"identity {settings.azure_client_id}" if settings.azure_client_id else "this machine's identity"
        return f"{settings.servicebus_namespace}, as {who}"
    return "Service Bus, by connection string" if settings.is_at_service_bus else str(settings.runner_data_dir)
