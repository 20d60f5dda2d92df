"""The model of ``registrations.yaml``: the whole file, its steps and its custom APIs.

The models say which keys there are and what type each has; :mod:`runner.registrations.rules` says which
combinations Dataverse accepts. The text under each field is its description in the JSON Schema.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessageprocessingstep
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)

from azure_bridge.secrets import Secrets
from azure_bridge.tables import BridgeConfiguration, PaymentColumns, PaymentTable
from dataverse_client.types import guid
from runner.registrations.bridge import BridgeRegistration, BridgeTable
from runner.registrations.endpoints import EndpointRegistration
from runner.registrations.messages import CUSTOM_API, MESSAGES
from runner.registrations.section import ColumnName, LogicalName, Name, Section
from runner.registrations.tables import TableDescription

SYNCHRONOUS: Literal[0] = 0
ASYNCHRONOUS: Literal[1] = 1
_MODES = {"sync": SYNCHRONOUS, "async": ASYNCHRONOUS}

#: Names are checked by the rules, which say what was meant; editors complete them from this.
_MESSAGE_SCHEMA = {"anyOf": [{"enum": sorted(MESSAGES)}, {"type": "string", "pattern": CUSTOM_API.pattern}]}


def _mode_number(mode: Any) -> Any:
    """The number of a mode's name; a truth value, which Python takes for a number, becomes its name in YAML."""
    name = str(mode).lower() if isinstance(mode, bool) else mode
    return _MODES.get(name, name) if isinstance(name, str) else name


Mode = Annotated[
    Literal[0, 1],
    BeforeValidator(_mode_number),
    PlainSerializer(lambda mode: "async" if mode else "sync", return_type=str),
    WithJsonSchema({"enum": ["sync", "async", 0, 1]}),
]


class ImageRegistration(Section):
    """A snapshot of the row that the step is given."""

    type: Literal["pre", "post", "both"]
    """``pre``: before the operation; ``post``: after it, at stage 40 only."""

    alias: Name
    """The name under which the plug-in asks for it: ``context.pre_image("before")``."""

    attributes: tuple[ColumnName, ...] = ()
    """The columns it holds; none named means all, which costs more."""


class StepRegistration(Section):
    """One plug-in class at one point of the pipeline."""

    name: Name
    """What traces call this step, and what Dataverse stores; unique in the file."""

    plugin: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    """``module:Class`` of a ``runner.plugin.Plugin``."""

    message: Annotated[Name, WithJsonSchema(_MESSAGE_SCHEMA)]
    """The message it runs for: ``Create``, ``Update``, ``Delete``, ... or a custom API's unique name."""

    entity: LogicalName | None = None
    """The table, by logical name or by an alias under ``entities``; leave out to run for every table."""

    stage: Literal[10, 20, 40]
    """10 PreValidation, 20 PreOperation, 40 PostOperation."""

    mode: Mode = SYNCHRONOUS
    """``sync``, or ``async`` to run after the commit, at stage 40 only."""

    rank: Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)] = 1
    """Execution order among the steps of one message, table and stage: lowest first."""

    filtering_attributes: tuple[ColumnName, ...] = ()
    """Update only: run when the request carries at least one of these columns; none named means always."""

    images: tuple[ImageRegistration, ...] = ()
    """Snapshots of the row before and after."""

    run_as: str | None = None
    """The ``systemuserid`` (a GUID, or a reference such as ``${env:NAME}``) whose privileges the step uses;
    leave out for the calling user."""

    configuration: dict[str, Any] | str | None = None
    """Handed to the plug-in's ``__init__``; readable by everybody who can read the step."""

    secure_configuration: dict[str, Any] | str | None = None
    """The same for what only administrators may read; write secrets as ``${env:NAME}`` or ``${keyvault:NAME}``."""

    delivery: Literal["inline", "deferred"] = "deferred"
    """How a remote environment reaches the step: ``inline`` calls it inside the transaction, where it can veto;
    ``deferred`` tells it after the commit and writes its changes back."""

    endpoint: str | None = None
    """The name under ``endpoints`` through which a remote environment reaches it."""

    timeout: Annotated[StrictFloat, Field(gt=0, le=120)] = 120
    """Seconds until the plug-in is stopped and the operation fails; 120 is Dataverse's limit."""

    isolation: Literal["thread", "process"] = "thread"
    """``thread`` stops Python code when the time is up; ``process`` kills the plug-in whatever it does."""

    enabled: StrictBool = True
    """``false`` keeps the step registered and does not run it."""

    @property
    def is_asynchronous(self) -> bool:
        return self.mode == ASYNCHRONOUS


CustomApiType: TypeAlias = Literal[
    "Boolean",
    "DateTime",
    "Decimal",
    "Entity",
    "EntityCollection",
    "EntityReference",
    "Float",
    "Guid",
    "Integer",
    "Money",
    "Picklist",
    "String",
    "StringArray",
]


class RequestParameterRegistration(Section):
    """What a caller passes to a custom API."""

    type: CustomApiType
    """Its type, by Dataverse's name."""

    optional: StrictBool = False
    """Whether a call may leave it out."""


class CustomApiRegistration(Section):
    """A message of one's own. Its main operation is a plug-in; other steps may be registered on it.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/custom-api
    """

    plugin: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    """``module:Class`` that does its work at stage 30; leave out for an event that only sets steps in motion."""

    entity: LogicalName | None = None
    """The table it is bound to, by logical name or alias; its Target is then a reference to a row."""

    is_function: StrictBool = False
    """Called with GET, as a function, and not with POST, as an action."""

    request_parameters: dict[str, RequestParameterRegistration] = {}
    """Name -> what a caller passes."""

    response_properties: dict[str, CustomApiType] = {}
    """Name -> type of what a caller gets back."""

    configuration: dict[str, Any] | str | None = None
    """Handed to the plug-in's ``__init__``."""

    secure_configuration: dict[str, Any] | str | None = None
    """The same for secrets; write them as ``${env:NAME}`` or ``${keyvault:NAME}``."""


class Registrations(Section):
    """The whole file."""

    entities: dict[str, LogicalName] = {}
    """Short names for tables: alias -> logical name."""

    steps: tuple[StepRegistration, ...] = ()
    """Which plug-in runs when."""

    custom_apis: dict[str, CustomApiRegistration] = {}
    """Messages of your own: unique name -> what they take, do and give back."""

    endpoints: dict[Name, EndpointRegistration] = {}
    """Through what a remote environment reaches the runner: name -> webhook or Service Bus queue or topic."""

    tables: dict[LogicalName, TableDescription] = {}
    """Tables and columns of your own that the embedded Dataverse has: logical name -> columns."""

    bridge: BridgeRegistration | None = None
    """How Stripe's answers reach the rows; leave out to run plug-ins only."""

    def logical_name(self, alias: str) -> str:
        """The table behind an alias; a name that is no alias is a logical name already."""
        return self.entities.get(alias, alias)

    def to_bridge_configuration(
        self, secrets: Secrets | None = None, *, organization_id: str | None = None, livemode: bool = False
    ) -> BridgeConfiguration:
        """What the bridge needs to know. ``organization_id`` is used where the file names none.

        Raises:
          ValueError: the file has no ``bridge`` section, or a reference stands for something that is no id.
          SecretError: a reference cannot be resolved, for instance because there are no ``secrets``.
        """
        if self.bridge is None:
            raise ValueError(
                "The registrations have no bridge section, so no Stripe event can be applied. Add one. "
                "Plug-ins alone run in: runner simulate, runner emulate"
            )
        organization = (secrets or Secrets({})).resolve(self.bridge.organization_id) or organization_id
        return BridgeConfiguration(
            tables=tuple(self._payment_table(table) for table in self.bridge.tables),
            events=frozenset(self.bridge.events),
            organization_id=None if organization is None else guid(organization),
            livemode=livemode,
            create_sales_orders=self.bridge.create_sales_orders,
        )

    def _payment_table(self, table: BridgeTable) -> PaymentTable:
        logical_name = self.logical_name(table.entity)
        columns: Mapping[str, Any] = table.columns.model_dump()
        return PaymentTable(
            logical_name=logical_name,
            primary_id=table.primary_id or f"{logical_name}id",
            metadata_key=table.metadata_key,
            columns=PaymentColumns(**columns),
            statuses=table.statuses,
            amount=table.amount,
            currency=table.currency,
            closed_state=table.closed_state,
        )
