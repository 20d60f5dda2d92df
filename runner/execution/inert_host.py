"""Stands where a plug-in would have its host, in a context that only tells what happened."""

from __future__ import annotations

from typing import NoReturn

from runner.plugin import InvalidPluginExecutionException


class InertHost:
    """Refuses everything a plug-in could do: a parent context, or one that was only read, has no host of its own."""

    def _refuse(self, *_: object) -> NoReturn:
        raise InvalidPluginExecutionException(
            "A parent context tells what happened; it does nothing. Use the step's own context."
        )

    trace = organization_service = service = on_rollback = _refuse


INERT_HOST = InertHost()
