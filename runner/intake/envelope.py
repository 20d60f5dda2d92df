"""The few members of a notification that are needed to queue it.

Reading the whole of it takes twenty times as long, and is left to the worker; what is malformed becomes a dead letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from runner.remote_context.decoding import decode_guid
from runner.remote_context.errors import InvalidRemoteContextError


@dataclass(frozen=True, slots=True)
class Envelope:
    """Ids and names, as :class:`~runner.plugin.PluginContext` has them."""

    message_name: str
    primary_entity_name: str
    primary_entity_id: str
    operation_id: str
    correlation_id: str
    initiating_user_agent: str
    owning_extension_id: str

    @classmethod
    def read(cls, body: bytes) -> Envelope | None:
        """The envelope of a body; None if anything is unusual: reading the whole notification then tells why."""
        try:
            document = orjson.loads(body)
            if not isinstance(document, dict) or not isinstance(document.get("OwningExtension"), dict):
                return None
            return cls(
                message_name=_text(document, "MessageName"),
                primary_entity_name=_text(document, "PrimaryEntityName"),
                primary_entity_id=_id(document, "PrimaryEntityId"),
                operation_id=_id(document, "OperationId"),
                correlation_id=_id(document, "CorrelationId"),
                initiating_user_agent=_text(document, "InitiatingUserAgent"),
                owning_extension_id=_id(document["OwningExtension"], "Id"),
            )
        except (ValueError, InvalidRemoteContextError):
            return None


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(key)
    return value or ""


def _id(document: dict[str, Any], key: str) -> str:
    return decode_guid(document.get(key), key)
