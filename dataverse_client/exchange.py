"""A request to the Web API and its answer, as plain values: :mod:`~dataverse_client.transport` sends them.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataverse_client.errors import DataverseError, InvalidRequestError, error_from

#: Needed on writes too: without annotations an error does not include a plug-in's OperationStatus.
_ANNOTATIONS = 'odata.include-annotations="*"'


def prefer(*preferences: str) -> dict[str, str]:
    """The Prefer header with these preferences and the one that every request has."""
    return {"Prefer": ",".join((_ANNOTATIONS, *preferences))}


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. ``path`` is relative to the API root and percent-encoded.

    ``repeatable`` says that sending it twice has the same effect as sending it once.
    """

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
    """An HTTP response. ``headers`` have lower-case names; ``retry_after`` is in seconds, None without such a header.

    ``is_repeat`` says that an earlier attempt of the request may already have taken effect.
    """

    request: Request
    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after: float | None = None
    is_repeat: bool = False

    def or_error(self) -> Answer:
        """The answer itself if its status is 2xx; otherwise raises :meth:`error`."""
        error = self.error()
        if error is not None:
            raise error
        return self

    def error(self) -> DataverseError | None:
        """The error the answer stands for; None if its status is 2xx."""
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
