"""What a plug-in author imports.

    from runner.plugin import InvalidPluginExecutionException, Plugin, PluginContext


    class RequireName(Plugin):
        def execute(self, context: PluginContext) -> None:
            if not context.target.get("new_name"):
                raise InvalidPluginExecutionException("Give the payment a name.")

The names are those of ``IPluginExecutionContext`` to ``IPluginExecutionContext7`` in snake_case.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/understand-the-data-context
"""

from __future__ import annotations

from abc import ABC, ABCMeta, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

from dataverse_client.types import EMPTY_GUID, Entity, EntityReference, OrganizationService

__all__ = [
    "INERT_HOST",
    "Caller",
    "Configuration",
    "ExecutionHost",
    "InvalidPluginExecutionException",
    "MessageOperation",
    "OperationStatus",
    "Organization",
    "Plugin",
    "PluginContext",
    "TracingService",
]

Configuration: TypeAlias = Mapping[str, Any]
T = TypeVar("T")

_NEVER = datetime.min.replace(tzinfo=UTC)


class OperationStatus(IntEnum):
    """What becomes of the operation a plug-in refuses.

    ``RETRY`` makes Dataverse run an asynchronous step again, four times in all; ``SUSPENDED`` makes its job wait until
    somebody resumes it.
    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.operationstatus
    """

    FAILED = 0
    CANCELED = 1
    RETRY = 2
    SUSPENDED = 3
    SUCCEEDED = 4


class InvalidPluginExecutionException(Exception):
    """Refuses the operation, in words meant for the person at the form.

    Everything in the transaction is undone. The Web API answers 400 with code 0x80040265 and ``message``;
    ``error_code`` travels as its SubErrorCode.
    Source: https://learn.microsoft.com/power-apps/developer/data-platform/handle-exceptions
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: OperationStatus = OperationStatus.FAILED,
        error_code: int = 0,
    ) -> None:
        # Plug-ins pass on other exceptions, or None: what counts is their text.
        self.message = "" if message is None else str(message)
        super().__init__(self.message)
        self.status = status
        self.error_code = error_code


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """The environment a plug-in runs in."""

    organization_id: str
    organization_name: str
    business_unit_id: str = EMPTY_GUID
    environment_id: str = ""
    tenant_id: str = EMPTY_GUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who made the call that a step runs for."""

    initiating_user_id: str
    authenticated_user_id: str = EMPTY_GUID
    business_unit_id: str = EMPTY_GUID
    user_azure_active_directory_object_id: str = EMPTY_GUID
    initiating_user_azure_active_directory_object_id: str = EMPTY_GUID
    initiating_user_application_id: str = EMPTY_GUID
    initiating_user_agent: str = ""
    is_application_user: bool = False
    portals_contact_id: str = EMPTY_GUID
    is_portals_client_call: bool = False


@dataclass(slots=True)
class MessageOperation:
    """One message on its way through the pipeline: the facts that all its steps share.

    A :class:`PluginContext` adds what belongs to one step: stage, images, user, parent.
    """

    organization: Organization
    caller: Caller
    message_name: str
    primary_entity_name: str
    primary_entity_id: str = EMPTY_GUID
    secondary_entity_name: str = "none"
    input_parameters: dict[str, Any] = field(default_factory=dict)
    output_parameters: dict[str, Any] = field(default_factory=dict)
    correlation_id: str = EMPTY_GUID
    operation_id: str = EMPTY_GUID
    request_id: str | None = None
    operation_created_on: datetime = _NEVER
    depth: int = 1
    is_executing_offline: bool = False
    is_offline_playback: bool = False


class _InertHost:
    """The host of a parent context, which can be read and cannot act."""

    def _refuse(self, *_: object) -> NoReturn:
        raise InvalidPluginExecutionException(
            "A parent context can only be read. Call this on the context that execute() was given."
        )

    trace = organization_service = service = on_rollback = _refuse


INERT_HOST: ExecutionHost = _InertHost()


def _each(copied: Callable[[Any], Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: copied(value) for name, value in values.items()}


class PluginContext:
    """What a step knows about the operation it runs for, and what it can do.

    A plug-in may change ``input_parameters``, ``output_parameters`` and ``shared_variables``; the rest is read-only.

    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.ipluginexecutioncontext7
    """

    __slots__ = (
        "_host",
        "_input_parameters",
        "_is_in_transaction",
        "_isolation_mode",
        "_mode",
        "_operation",
        "_output_parameters",
        "_owning_extension",
        "_parent_context",
        "_post_entity_images",
        "_post_entity_images_collection",
        "_pre_entity_images",
        "_pre_entity_images_collection",
        "_shared_variables",
        "_stage",
        "_user_id",
    )

    def __init__(
        self,
        operation: MessageOperation,
        host: ExecutionHost,
        stage: int,
        mode: int,
        owning_extension: EntityReference,
        user_id: str,
        is_in_transaction: bool,
        shared_variables: dict[str, Any],
        parent_context: PluginContext | None = None,
        input_parameters: dict[str, Any] | None = None,
        output_parameters: dict[str, Any] | None = None,
        *,
        pre_entity_images: Mapping[str, Entity] | None = None,
        post_entity_images: Mapping[str, Entity] | None = None,
        pre_entity_images_collection: tuple[Mapping[str, Entity], ...] = (),
        post_entity_images_collection: tuple[Mapping[str, Entity], ...] = (),
        isolation_mode: int = 2,
    ) -> None:
        self._operation = operation
        self._host = host
        self._stage = stage
        self._mode = mode
        self._owning_extension = owning_extension
        self._user_id = user_id
        self._is_in_transaction = is_in_transaction
        self._shared_variables = shared_variables
        self._parent_context = parent_context
        self._input_parameters = operation.input_parameters if input_parameters is None else input_parameters
        self._output_parameters = operation.output_parameters if output_parameters is None else output_parameters
        self._pre_entity_images: Mapping[str, Entity] = pre_entity_images or {}
        self._post_entity_images: Mapping[str, Entity] = post_entity_images or {}
        self._pre_entity_images_collection = pre_entity_images_collection
        self._post_entity_images_collection = post_entity_images_collection
        self._isolation_mode = isolation_mode

    def attach(self, host: ExecutionHost) -> None:
        """Replace the host: from now on the context's methods call this one."""
        self._host = host

    def tell(self, **facts: Any) -> None:
        """Have the context say otherwise what it says of its step. For whoever runs the plug-in, before it runs."""
        for name, value in facts.items():
            setattr(self, f"_{name}", value)

    def apart(self, copied: Callable[[Any], Any], **facts: Any) -> PluginContext:
        """The same with collections of its own, each value as ``copied`` makes it, and no host to do anything.

        ``facts`` of its operation (:class:`MessageOperation`) are told otherwise.
        """
        twin = copy(self)
        if facts:
            twin._operation = replace(self._operation, **facts)
        twin._input_parameters = _each(copied, self._input_parameters)
        twin._output_parameters = _each(copied, self._output_parameters)
        twin._shared_variables = _each(copied, self._shared_variables)
        twin._pre_entity_images = _each(copied, self._pre_entity_images)
        twin._post_entity_images = _each(copied, self._post_entity_images)
        twin._pre_entity_images_collection = tuple(_each(copied, of) for of in self._pre_entity_images_collection)
        twin._post_entity_images_collection = tuple(_each(copied, of) for of in self._post_entity_images_collection)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the host, which cannot be sent to another process."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "_host"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._host = INERT_HOST
        for name, value in state.items():
            setattr(self, name, value)

    # --- what happened -------------------------------------------------------------------------------------

    @property
    def message_name(self) -> str:
        """The message: ``Create``, ``Update``, ``Delete``, ... or a custom API's unique name."""
        return self._operation.message_name

    @property
    def primary_entity_name(self) -> str:
        """Logical name of the message's table; ``none`` for a message without one."""
        return self._operation.primary_entity_name

    @property
    def primary_entity_id(self) -> str:
        """Id of the message's row; the empty GUID for a message without one."""
        return self._operation.primary_entity_id

    @property
    def secondary_entity_name(self) -> str:
        """The second table of a message that concerns two; otherwise ``none``."""
        return self._operation.secondary_entity_name

    @property
    def depth(self) -> int:
        """1 for a call from outside; a call made by a plug-in is one deeper than the plug-in."""
        return self._operation.depth

    @property
    def correlation_id(self) -> str:
        """Shared by every operation that follows from the same call from outside."""
        return self._operation.correlation_id

    @property
    def input_parameters(self) -> dict[str, Any]:
        """The request's parameters by name: ``Target``, ``Query``, ... Changes made before stage 30 take effect."""
        return self._input_parameters

    @property
    def output_parameters(self) -> dict[str, Any]:
        """The response's properties by name. A custom API's plug-in puts its results here."""
        return self._output_parameters

    @property
    def shared_variables(self) -> dict[str, Any]:
        """Values handed from step to step: one collection for stages 20 to 40, the parent's for stage 10."""
        return self._shared_variables

    @property
    def operation_id(self) -> str:
        """Id of this operation; in an asynchronous step, the id of its system job."""
        return self._operation.operation_id

    @property
    def request_id(self) -> str | None:
        """The request the operation is part of; None where Dataverse does not say."""
        return self._operation.request_id

    @property
    def operation_created_on(self) -> datetime:
        """When the operation began, in UTC."""
        return self._operation.operation_created_on

    @property
    def is_executing_offline(self) -> bool:
        """Whether the plug-in runs in Outlook's offline client. Always False unless Dataverse says otherwise."""
        return self._operation.is_executing_offline

    @property
    def is_offline_playback(self) -> bool:
        """Whether changes made in Outlook's offline client are being synchronized."""
        return self._operation.is_offline_playback

    # --- the step ------------------------------------------------------------------------------------------

    @property
    def stage(self) -> int:
        """10 PreValidation, 20 PreOperation, 30 MainOperation, 40 PostOperation."""
        return self._stage

    @property
    def mode(self) -> int:
        """0 synchronous, 1 asynchronous."""
        return self._mode

    @property
    def owning_extension(self) -> EntityReference:
        """The step (``sdkmessageprocessingstep``) that runs."""
        return self._owning_extension

    @property
    def is_in_transaction(self) -> bool:
        """Whether the step runs inside the database transaction, which its failure would roll back."""
        return self._is_in_transaction

    @property
    def isolation_mode(self) -> int:
        """1 none, 2 sandbox."""
        return self._isolation_mode

    @property
    def parent_context(self) -> PluginContext | None:
        """The operation that caused this one: a plug-in's call, or the request itself; None for the request."""
        return self._parent_context

    @property
    def pre_entity_images(self) -> Mapping[str, Entity]:
        """The row before the operation, by the alias each image is registered under."""
        return self._pre_entity_images

    @property
    def post_entity_images(self) -> Mapping[str, Entity]:
        """The row after the operation, by the alias each image is registered under."""
        return self._post_entity_images

    @property
    def pre_entity_images_collection(self) -> tuple[Mapping[str, Entity], ...]:
        """For the *Multiple messages: one mapping of images per row of Targets."""
        return self._pre_entity_images_collection

    @property
    def post_entity_images_collection(self) -> tuple[Mapping[str, Entity], ...]:
        """For the *Multiple messages: one mapping of images per row of Targets."""
        return self._post_entity_images_collection

    # --- where, and on whose behalf ------------------------------------------------------------------------

    @property
    def organization_id(self) -> str:
        """The environment's organization, a GUID."""
        return self._operation.organization.organization_id

    @property
    def organization_name(self) -> str:
        """The organization's unique name."""
        return self._operation.organization.organization_name

    @property
    def environment_id(self) -> str:
        """Id of the Power Platform environment; empty when unknown."""
        return self._operation.organization.environment_id

    @property
    def tenant_id(self) -> str:
        """Id of the Microsoft Entra tenant; the empty GUID when unknown."""
        return self._operation.organization.tenant_id

    @property
    def business_unit_id(self) -> str:
        """The calling user's business unit."""
        return self._operation.caller.business_unit_id

    @property
    def user_id(self) -> str:
        """Whose privileges the step uses: the caller's, unless the step impersonates."""
        return self._user_id

    @property
    def initiating_user_id(self) -> str:
        """``systemuserid`` of the user who made the call, whichever user the step runs as."""
        return self._operation.caller.initiating_user_id

    @property
    def authenticated_user_id(self) -> str:
        """The user who signed in, when the call is made on behalf of another user."""
        return self._operation.caller.authenticated_user_id

    @property
    def user_azure_active_directory_object_id(self) -> str:
        """Microsoft Entra object id of the user the step runs as."""
        return self._operation.caller.user_azure_active_directory_object_id

    @property
    def initiating_user_azure_active_directory_object_id(self) -> str:
        """Microsoft Entra object id of the user who made the call."""
        return self._operation.caller.initiating_user_azure_active_directory_object_id

    @property
    def initiating_user_application_id(self) -> str:
        """The client id of the application that made the call; the empty GUID for a person."""
        return self._operation.caller.initiating_user_application_id

    @property
    def initiating_user_agent(self) -> str:
        """The User-Agent of the program that made the call."""
        return self._operation.caller.initiating_user_agent

    @property
    def is_application_user(self) -> bool:
        """Whether an application made the call."""
        return self._operation.caller.is_application_user

    @property
    def portals_contact_id(self) -> str:
        """The contact who is signed in to Power Pages; the empty GUID for all other calls."""
        return self._operation.caller.portals_contact_id

    @property
    def is_portals_client_call(self) -> bool:
        """Whether the call comes from Power Pages."""
        return self._operation.caller.is_portals_client_call

    # --- what a plug-in does with it -----------------------------------------------------------------------

    @property
    def target(self) -> Entity:
        """The row in the request. Changes made to it at stage 10 or 20 are written to the database.

        Raises:
          InvalidPluginExecutionException: the message has no Target row (Delete carries a reference only).
        """
        target = self.input_parameters.get("Target")
        if not isinstance(target, Entity):
            raise InvalidPluginExecutionException(
                f"{self.message_name} of {self.primary_entity_name} carries no Target row; "
                "read input_parameters, or register a pre-image."
            )
        return target

    def pre_image(self, alias: str) -> Entity:
        """The row before the operation.

        Raises:
          InvalidPluginExecutionException: the step registers no pre-image under this alias.
        """
        return self._image(self._pre_entity_images, "pre-image", alias)

    def post_image(self, alias: str) -> Entity:
        """The row after the operation.

        Raises:
          InvalidPluginExecutionException: the step registers no post-image under this alias.
        """
        return self._image(self._post_entity_images, "post-image", alias)

    def _image(self, images: Mapping[str, Entity], kind: str, alias: str) -> Entity:
        try:
            return images[alias]
        except KeyError:
            known = ", ".join(sorted(images)) or "none"
            raise InvalidPluginExecutionException(
                f"Step {self._owning_extension.name!r} has no {kind} {alias!r} (registered: {known}). "
                "Add it to the step's images in registrations.yaml."
            ) from None

    @property
    def organization(self) -> OrganizationService:
        """CRM as the user the step runs as, inside the step's transaction."""
        return self._host.organization_service(self, self._user_id)

    def organization_as(self, user_id: str | None) -> OrganizationService:
        """CRM as the user with this ``systemuserid``, or as SYSTEM when None."""
        return self._host.organization_service(self, user_id)

    def service(self, kind: type[T]) -> T:
        """A service the host provides, by type: ``context.service(StripeClient)``.

        Raises:
          LookupError: the host provides no such service.
        """
        return self._host.service(kind)

    def trace(self, message: str, *arguments: object) -> None:
        """Write a line to the plug-in trace log. ``arguments`` fill ``{}`` placeholders."""
        self._host.trace(message, *arguments)

    def on_rollback(self, action: Callable[[], object]) -> None:
        """Call ``action`` if the transaction is rolled back, to undo what was done outside CRM.

        Actions run in reverse order of registration.
        """
        self._host.on_rollback(action)


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
