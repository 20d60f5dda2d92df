"""The services that a host offers to plug-ins, by type: ``context.service(StripeClient)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Services:
    """Objects by their type, or functions that make them on first use."""

    def __init__(self, offered: Mapping[type, Any]) -> None:
        self._offered = dict(offered)

    def provide(self, kind: type[T]) -> T:
        """The object of that type. Raises LookupError, which names the available types, when there is none."""
        try:
            offered = self._offered[kind]
        except KeyError:
            known = ", ".join(sorted(other.__name__ for other in self._offered)) or "none"
            raise LookupError(
                f"No {kind.__name__} is provided here (services: {known}). Pass it to the emulator or runner, "
                f"as services={{{kind.__name__}: ...}}."
            ) from None
        if not callable(offered) or isinstance(offered, kind):
            return cast(T, offered)
        made: T = offered()
        self._offered[kind] = made
        return made
