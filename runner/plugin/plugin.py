"""The base class of plug-ins."""

from __future__ import annotations

from abc import ABC, ABCMeta, abstractmethod
from collections.abc import Awaitable, Mapping
from typing import Any, TypeAlias

from runner.plugin.context import PluginContext

Configuration: TypeAlias = Mapping[str, Any]


class _SealedMeta(ABCMeta):
    """Seals an instance once its ``__init__`` has run: instances are shared between executions."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__call__(*args, **kwargs)
        object.__setattr__(instance, "_sealed", True)
        return instance


class Plugin(ABC, metaclass=_SealedMeta):
    """Base class of plug-ins: override :meth:`execute`, as a plain method or as ``async def``.

    As in Dataverse, one instance serves all executions of its step, also concurrent ones. Attributes can
    therefore be set in ``__init__`` only; later attempts raise AttributeError.

    ``__init__`` may take no argument, the configuration, or the configuration and the secure configuration.
    Source: https://learn.microsoft.com/power-apps/developer/data-platform/write-plug-in
    """

    _sealed = False

    def __init__(
        self, configuration: Configuration | None = None, secure_configuration: Configuration | None = None
    ) -> None:
        self.configuration: Configuration = configuration or {}
        self.secure_configuration: Configuration = secure_configuration or {}

    def __setattr__(self, name: str, value: object) -> None:
        if self._sealed:
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be set while the plug-in runs: one instance is shared by "
                "all executions. Use context.shared_variables, or local variables."
            )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted: the instance is shared")

    @abstractmethod
    def execute(self, context: PluginContext) -> Awaitable[None] | None:
        """Do the step's work. Raise InvalidPluginExecutionException to refuse the operation."""
