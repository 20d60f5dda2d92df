"""A call and its context: the caller, the transaction, the parent, and the bypassed steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from azure_bridge.clock import Clock
from dataverse_client.types import EntityReference, guid
from runner.emulator.errors import InvalidArgument
from runner.emulator.transaction import Transaction
from runner.emulator.users import Users
from runner.execution.message_service import MessageService
from runner.execution.services import Services
from runner.execution.step import Mode, Stage, Step
from runner.plugin import Caller, Organization, PluginContext

T = TypeVar("T")

#: Parameters that every request may have besides its own.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/optional-parameters
OPTIONAL_PARAMETERS = frozenset(
    {
        "BypassBusinessLogicExecution",
        "BypassBusinessLogicExecutionStepIds",
        "BypassCustomPluginExecution",
        "PartitionId",
        "SolutionUniqueName",
        "SuppressCallbackRegistrationExpanderJob",
        "SuppressDuplicateDetection",
        "tag",
    }
)
_MODES = frozenset({"customsync", "customasync"})


@dataclass(frozen=True, slots=True)
class Bypass:
    """The steps that a request bypasses. It does not apply to the requests of plug-ins.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/bypass-custom-business-logic
    """

    custom_sync: bool = False
    custom_async: bool = False
    step_ids: frozenset[str] = frozenset()

    @classmethod
    def asked_for(cls, parameters: Mapping[str, Any]) -> Bypass | None:
        """The bypass in the optional parameters of a request; None when there is none.

        Raises:
          InvalidArgument: BypassBusinessLogicExecution contains other words than CustomSync and CustomAsync, or
            BypassBusinessLogicExecutionStepIds other text than ids.
        """
        modes = _words(parameters, "BypassBusinessLogicExecution")
        step_ids = frozenset(map(_step_id, _words(parameters, "BypassBusinessLogicExecutionStepIds")))
        old_way = parameters.get("BypassCustomPluginExecution") is True
        if not modes <= _MODES:
            raise InvalidArgument(
                "BypassBusinessLogicExecution must be CustomSync, CustomAsync or both, comma-separated."
            )
        if not (modes or step_ids or old_way):
            return None
        return cls(old_way or "customsync" in modes, "customasync" in modes, step_ids)

    def skips(self, step: Step) -> bool:
        """Whether to bypass the step. A custom API's own plug-in is not bypassed, as it is the main operation."""
        if step.stage == Stage.MAIN_OPERATION:
            return False
        by_mode = self.custom_sync if step.mode == Mode.SYNCHRONOUS else self.custom_async
        return by_mode or step.id in self.step_ids


def _words(parameters: Mapping[str, Any], name: str) -> frozenset[str]:
    text = parameters.get(name) or ""
    if not isinstance(text, str):
        raise InvalidArgument(f"{name} must be words separated by commas (str), not {type(text).__name__}.")
    return frozenset(word.strip().lower() for word in text.split(",") if word.strip())


def _step_id(text: str) -> str:
    try:
        return guid(text)
    except ValueError:
        raise InvalidArgument(f"BypassBusinessLogicExecutionStepIds must be ids of steps, not '{text}'.") from None


@dataclass(frozen=True, slots=True)
class Origin:
    """The message that a caller sent, and its parameters, if another message does its work.

    ``row`` is its row, if that is another than the operation's.
    """

    message: str
    parameters: Mapping[str, Any]
    row: EntityReference | None = None


class Server(Protocol):
    """The part of the engine that a call needs."""

    clock: Clock
    #: For operations, and for whatever belongs to the same call.
    ids: Iterator[str]
    organization: Organization
    services: Services
    users: Users

    def execute_within(
        self, call: Call, context: PluginContext, user_id: str | None, message: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Execute the request of a plug-in within ``call``. Returns its results."""


class Call:
    """One call, and the :class:`~runner.execution.host.Platform` of the steps that run in it.

    An operation that does the work of another, such as Upsert's Create, shares its call. ``holds_turn`` tells whether
    the call has the environment's turn, as all have except asynchronous steps.
    """

    __slots__ = (
        "_correlation_id",
        "bypass",
        "caller",
        "clock",
        "depth",
        "engine",
        "holds_turn",
        "origin",
        "parent",
        "tag",
        "transaction",
        "user_id",
    )

    def __init__(
        self,
        engine: Server,
        caller: Caller,
        transaction: Transaction,
        tag: str | None = None,
        bypass: Bypass | None = None,
        depth: int = 1,
        parent: PluginContext | None = None,
        correlation_id: str | None = None,
        origin: Origin | None = None,
        holds_turn: bool = True,
    ) -> None:
        self.engine = engine
        self.clock = engine.clock
        self.caller = caller
        self.user_id = caller.initiating_user_id
        self.transaction = transaction
        self.depth = depth
        self.parent = parent
        self.tag = tag
        self.bypass = bypass
        self.origin = origin
        self.holds_turn = holds_turn
        self._correlation_id = correlation_id

    @property
    def correlation_id(self) -> str:
        if self._correlation_id is None:
            self._correlation_id = self.parent.correlation_id if self.parent else next(self.engine.ids)
        return self._correlation_id

    def on_behalf_of(self, message: str, parameters: Mapping[str, Any], row: EntityReference | None = None) -> Call:
        """The same call, for an operation that does the work of ``message`` (on ``row``, if that is another row)."""
        twin = self.within(self.transaction)
        twin.origin = self.origin or Origin(message, parameters, row)
        return twin

    def with_options(self, parameters: Mapping[str, Any]) -> Call:
        """The same call, with the :data:`OPTIONAL_PARAMETERS` of a request applied."""
        twin = self.within(self.transaction)
        twin.tag = parameters.get("tag", self.tag)
        twin.bypass = Bypass.asked_for(parameters) or self.bypass
        return twin

    def within(self, transaction: Transaction) -> Call:
        """The same call in another transaction."""
        return Call(
            self.engine,
            self.caller,
            transaction,
            self.tag,
            self.bypass,
            depth=self.depth,
            parent=self.parent,
            correlation_id=self.correlation_id,
            origin=self.origin,
            holds_turn=self.holds_turn,
        )

    # --- what an execution is given (runner.execution.host.Platform) -----------------------------------------

    def organization_service(self, context: PluginContext, user_id: str | None) -> MessageService:
        return MessageService(partial(self.engine.execute_within, self, context, user_id))

    def service(self, kind: type[T]) -> T:
        return self.engine.services.provide(kind)

    def on_rollback(self, action: Callable[[], object]) -> None:
        self.transaction.undo.append(action)
