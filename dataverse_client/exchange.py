"""A request to the Web API and the answer to it, before and after anybody sends them.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataverse_client.errors import DataverseError, InvalidRequestError, error_from

#: Wanted on writes too: without annotations an error does not say what a plug-in's OperationStatus was.
_ANNOTATIONS = 'odata.include-annotations="*"'


def prefer(*preferences: str) -> dict[str, str]:
    """The Prefer header with these preferences beside the ones every request has."""
    return {"Prefer": ",".join((_ANNOTATIONS, *preferences))}


@dataclass(frozen=True, slots=True)
class Request:
    """``path`` is relative to the API root, percent-encoded. ``repeatable``: doing it twice is doing it once."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    repeatable: bool = True

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if "\n" in value or "\r" in value:
                raise InvalidRequestError(f"{name} cannot hold a line break: {value!r}")

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` have lower-case names. ``is_repeat``: an earlier attempt may have taken effect already.

    ``retry_after`` is in seconds, None when the server named no time.
    """

    request: Request
    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after: float | None = None
    is_repeat: bool = False

    def or_error(self) -> Answer:
        """Itself, when the request succeeded; raises the DataverseError it stands for otherwise."""
        error = self.error()
        if error is not None:
            raise error
        return self

    def error(self) -> DataverseError | None:
        if 200 <= self.status < 300:
            return None
        return error_from(
            self.status,
            self.headers,
            self.body,
            request=str(self.request),
            retry_after=self.retry_after,
            is_repeat=self.is_repeat,
        )
