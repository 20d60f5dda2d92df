"""What a context hands a plug-in's calls to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

from dataverse_client.types import OrganizationService
from runner.plugin.errors import InvalidPluginExecutionException

if TYPE_CHECKING:
    from runner.plugin.context import PluginContext

T = TypeVar("T")


class TracingService(Protocol):
    """``ITracingService``: one call, one line in the plug-in trace log."""

    def trace(self, message: str, *arguments: object) -> None: ...


class ExecutionHost(TracingService, Protocol):
    """What a :class:`PluginContext` hands its calls to: implemented by whatever runs the plug-in."""

    def organization_service(self, context: PluginContext, user_id: str | None) -> OrganizationService:
        """CRM as the user with this id (None: as SYSTEM), for calls made by the step that ``context`` belongs to."""

    def service(self, kind: type[T]) -> T:
        """The service of this type. Raises LookupError when there is none."""

    def on_rollback(self, action: Callable[[], object]) -> None:
        """Run ``action`` if the transaction is rolled back."""


class _InertHost:
    """The host of a parent context, which can be read and cannot act."""

    def _refuse(self, *_: object) -> NoReturn:
        raise InvalidPluginExecutionException(
            "A parent context can only be read. Call this on the context that execute() was given."
        )

    trace = organization_service = service = on_rollback = _refuse


INERT_HOST: ExecutionHost = _InertHost()
