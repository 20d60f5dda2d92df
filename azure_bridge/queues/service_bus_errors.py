"""Translates exceptions of the Azure SDK into those of the queue contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError
from azure.servicebus import exceptions as sdk

from azure_bridge.queues.contract import (
    MessageLockLostError,
    MessageTooLargeError,
    QueueAccessError,
    QueueUnavailableError,
)

#: The service reports the lock as lost, or the message was settled before.
LOCK_LOST = (sdk.MessageLockLostError, sdk.MessageAlreadySettled, sdk.MessageNotFoundError)

_NOT_OURS = (
    sdk.MessagingEntityNotFoundError,
    sdk.MessagingEntityDisabledError,
    sdk.ServiceBusAuthenticationError,
    sdk.ServiceBusAuthorizationError,
)


@contextmanager
def translated(queue: str) -> Iterator[None]:
    """Raises the contract's error for whatever the SDK raises in the block.

    Raises:
      MessageLockLostError, MessageTooLargeError, QueueAccessError, QueueUnavailableError
    """
    try:
        yield
    except LOCK_LOST as error:
        raise MessageLockLostError(f"A lock in queue {queue} is lost: {error}") from error
    except sdk.MessageSizeExceededError as error:
        raise MessageTooLargeError(
            f"Queue {queue} refused a message as too large: {error} Send a reference to the data instead."
        ) from error
    except _NOT_OURS as error:
        raise QueueAccessError(
            f"Queue {queue} cannot be used: {error} Check its name, and that this identity has the roles Azure "
            "Service Bus Data Sender and Data Receiver."
        ) from error
    # The SDK raises ValueError when its sender or receiver is closed during a call.
    except (AzureError, OSError, ValueError) as error:
        raise QueueUnavailableError(f"Queue {queue} cannot be reached: {error} Try again later.") from error
