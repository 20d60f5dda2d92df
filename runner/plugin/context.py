"""What a step is given to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any, TypeVar

from dataverse_client.types import Entity, EntityReference, OrganizationService
from runner.plugin.errors import InvalidPluginExecutionException
from runner.plugin.host import INERT_HOST, ExecutionHost
from runner.plugin.operation import MessageOperation
from runner.plugin.operation_context import OperationContext

T = TypeVar("T")


def _each(copied: Callable[[Any], Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: copied(value) for name, value in values.items()}


class PluginContext(OperationContext):
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
        # Instead of super().__init__(), which would cost time in every step.
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

    @property
    def user_id(self) -> str:
        """Whose privileges the step uses: the caller's, unless the step impersonates."""
        return self._user_id

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

    # --- for whoever runs the plug-in ----------------------------------------------------------------------

    def attach(self, host: ExecutionHost) -> None:
        """Replace the host: from now on the context's methods call this one."""
        self._host = host

    def override(self, **facts: Any) -> None:
        """Replace what the context says of its step, by the names of the properties."""
        for name, value in facts.items():
            setattr(self, f"_{name}", value)

    def detached(self, copied: Callable[[Any], Any], **facts: Any) -> PluginContext:
        """A copy without a host, with collections of its own in which each value is as ``copied`` makes it.

        ``facts`` replace fields of its operation (:class:`MessageOperation`).
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
        return {name: getattr(self, name) for name in _STATE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Raises KeyError when a fact is missing, as in what another version wrote."""
        self._host = INERT_HOST
        for name in _STATE:
            setattr(self, name, state[name])


_STATE = tuple(name for kind in (OperationContext, PluginContext) for name in kind.__slots__ if name != "_host")
