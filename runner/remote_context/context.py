"""RemoteExecutionContext: the JSON document that Dataverse sends to a webhook or a queue for each operation.

    remote = RemoteContext.decode(body)          # bytes -> document
    context = remote.context_for(host)           # what a plug-in is given
    body = RemoteContext.of(context).encode()    # and back

The document is kept as it was received, so that members a newer Dataverse may add are passed on.

Sources: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.remoteexecutioncontext
  https://learn.microsoft.com/power-apps/developer/data-platform/use-webhooks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dataverse_client import exact_json
from dataverse_client.types import EMPTY_GUID
from runner.plugin import INERT_HOST, ExecutionHost, MessageOperation, PluginContext
from runner.remote_context.document import parse
from runner.remote_context.errors import InvalidRemoteContextError
from runner.remote_context.reading import read_context, read_operation
from runner.remote_context.writing import write_context

#: What Dataverse leaves out of a notification that is too long.
TRIMMED_KEYS = ("InputParameters", "ParentContext", "PostEntityImages", "PreEntityImages")


@dataclass(frozen=True, slots=True)
class RemoteContext:
    """One notification: its JSON ``document``, and its ``context``, which can be read but not run.

    ``is_trimmed`` tells that it was too long, so that Target, images and parent context are missing.
    """

    document: Mapping[str, Any]
    context: PluginContext = field(repr=False, compare=False)
    is_trimmed: bool = False

    @classmethod
    def decode(cls, body: bytes, *, size_exceeded: bool = False) -> RemoteContext:
        """Read the body of a webhook request or of a Service Bus message.

        ``size_exceeded`` tells that a header of the request, or a property of the message, marks it as trimmed.

        Raises:
          UnsupportedMessageFormatError: the body is .NET binary or XML.
          InvalidRemoteContextError: the body is not JSON, or not a RemoteExecutionContext.
        """
        document = parse(body)
        try:
            context = read_context(document, INERT_HOST)
        except RecursionError:
            raise InvalidRemoteContextError("The notification is nested too deeply.") from None
        return cls(document, context, size_exceeded or _looks_trimmed(document, context))

    @classmethod
    def of(cls, context: PluginContext, *, isolation_mode: int | None = None) -> RemoteContext:
        """The notification for ``context``. ``isolation_mode`` replaces the context's own.

        Raises:
          UnknownValueTypeError: a parameter or column has a value that cannot be written.
        """
        return cls(write_context(context, isolation_mode), context)

    def context_for(self, host: ExecutionHost) -> PluginContext:
        """The context for a plug-in that ``host`` runs, with new collections, which the plug-in may change."""
        return read_context(self.document, host)

    def operation(self) -> MessageOperation:
        """The operation the notification describes, with new collections."""
        return read_operation(self.document)

    def trimmed(self) -> RemoteContext:
        """The notification without its long members: they are null, as .NET writes missing ones."""
        return RemoteContext({**self.document, **dict.fromkeys(TRIMMED_KEYS)}, self.context, is_trimmed=True)

    def encode(self) -> bytes:
        """The body to send: JSON in UTF-8, every slash escaped, as Dataverse sends it."""
        return exact_json.dumps(self.document).replace(b"/", rb"\/")


def _looks_trimmed(document: Mapping[str, Any], context: PluginContext) -> bool:
    """Whether parameters are missing or empty, as only trimming leaves them for a message about a table."""
    about_a_table = context.primary_entity_name != "none" and context.primary_entity_id != EMPTY_GUID
    return about_a_table and not any(document.get(key) for key in TRIMMED_KEYS)
