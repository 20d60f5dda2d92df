"""Optional parameters of a request: bypassed plug-ins, tag, impersonated user, correlation id.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/optional-parameters
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote

from dataverse_client.exchange import Request


class BypassBusinessLogic(StrEnum):
    """Which custom plug-ins and workflows are not run.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/bypass-custom-business-logic
    """

    CUSTOM_SYNC = "CustomSync"
    CUSTOM_ASYNC = "CustomAsync"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """Options for every request of a client, and for every part of its batches.

    ``bypass`` and ``bypass_steps`` (ids of steps, at most three unless the environment allows more) need the privilege
    prvBypassCustomBusinessLogic. Plug-ins find ``tag`` in the shared variable of that name. ``caller_object_id`` (an
    Entra object id) or ``caller_id`` (a systemuserid) names the user to impersonate. Without a ``correlation_id``
    each call of the client gets a new one.
    """

    bypass: frozenset[BypassBusinessLogic] = frozenset()
    bypass_steps: tuple[str, ...] = ()
    tag: str | None = None
    caller_object_id: str | None = None
    caller_id: str | None = None
    correlation_id: str | None = None

    def apply(self, request: Request) -> Request:
        """``request`` with these options in its headers and its query string."""
        headers = dict(self._headers())
        path = self._tagged(request.path)
        if not headers and path == request.path:
            return request
        return replace(request, path=path, headers={**request.headers, **headers})

    def _headers(self) -> Iterator[tuple[str, str]]:
        if self.bypass:
            yield "MSCRM.BypassBusinessLogicExecution", ",".join(sorted(self.bypass, reverse=True))
        if self.bypass_steps:
            yield "MSCRM.BypassBusinessLogicExecutionStepIds", ",".join(self.bypass_steps)
        if self.caller_object_id:
            yield "CallerObjectId", self.caller_object_id
        if self.caller_id:
            yield "MSCRMCallerID", self.caller_id

    def _tagged(self, path: str) -> str:
        if self.tag is None or path == "$batch":
            return path
        return f"{path}{'&' if '?' in path else '?'}tag={quote(self.tag, safe='')}"
