"""``registrations.yaml`` as values: which plug-in runs when, and what the bridge writes.

The models say which keys there are and what type each has; :mod:`runner.registrations.rules` says which
combinations Dataverse accepts. The text under each field is its description in the JSON Schema.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessageprocessingstep
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)

from azure_bridge.secrets import Secrets
from azure_bridge.tables import BridgeConfiguration, PaymentColumns, PaymentStatus, PaymentTable
from dataverse_client.types import guid
from runner.registrations.messages import CUSTOM_API, MESSAGES
from runner.registrations.stripe_events import PAYMENT_EVENT_TYPES

SYNCHRONOUS: Literal[0] = 0
ASYNCHRONOUS: Literal[1] = 1
_MODES = {"sync": SYNCHRONOUS, "async": ASYNCHRONOUS}

_COLUMNS = PaymentColumns()
_STATUSES = {status: 100_000_000 + number for number, status in enumerate(PaymentStatus)}

LogicalName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*$", max_length=128)]
"""A table's or column's logical name, as Dataverse spells it: lower case."""

ColumnName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", to_lower=True, max_length=128)]
"""A column in a list, where upper case is forgiven."""

#: Names are checked by the rules, which say what was meant; editors complete them from this.
_MESSAGE_SCHEMA = {"anyOf": [{"enum": sorted(MESSAGES)}, {"type": "string", "pattern": CUSTOM_API.pattern}]}

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]

Mode = Annotated[
    Literal[0, 1],
    BeforeValidator(lambda mode: _MODES.get(mode, mode) if isinstance(mode, str) else mode),
    PlainSerializer(lambda mode: "async" if mode else "sync", return_type=str),
    WithJsonSchema({"enum": ["sync", "async", 0, 1]}),
]


class Section(BaseModel):
    """A part of the file: unknown keys are refused, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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

    timeout: Annotated[float, Field(gt=0, le=120)] = 120
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

    optional: bool = False
    """Whether a call may leave it out."""


class CustomApiRegistration(Section):
    """A message of one's own. Its main operation is a plug-in; other steps may be registered on it.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/custom-api
    """

    plugin: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    """``module:Class`` that does its work at stage 30; leave out for an event that only sets steps in motion."""

    entity: LogicalName | None = None
    """The table it is bound to, by logical name or alias; its Target is then a reference to a row."""

    is_function: bool = False
    """Called with GET, as a function, and not with POST, as an action."""

    request_parameters: dict[str, RequestParameterRegistration] = {}
    """Name -> what a caller passes."""

    response_properties: dict[str, CustomApiType] = {}
    """Name -> type of what a caller gets back."""

    configuration: dict[str, Any] | str | None = None
    """Handed to the plug-in's ``__init__``."""

    secure_configuration: dict[str, Any] | str | None = None
    """The same for secrets; write them as ``${env:NAME}`` or ``${keyvault:NAME}``."""


class WebhookKey(Section):
    """The key is appended to the address as ``?code=``."""

    type: Literal["webhook-key"]
    """How Dataverse proves itself."""

    value: str
    """The key, as a reference such as ``${env:DATAVERSE_WEBHOOK_KEY}``."""


class WebhookValues(Section):
    """Named values are sent as HTTP headers or in the query string."""

    type: Literal["http-header", "http-query-string"]
    """Where the values travel."""

    values: dict[str, str]
    """Name -> value; values are references such as ``${keyvault:webhook-key}``."""


WebhookAuthentication: TypeAlias = Annotated[WebhookKey | WebhookValues, Field(discriminator="type")]


class WebhookEndpoint(Section):
    """Dataverse posts each notification to an address.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-webhooks
    """

    type: Literal["webhook"]
    """What kind of endpoint this is."""

    url: str | None = None
    """Where Dataverse posts, on port 80 or 443; leave out for the webhook address under ``RUNNER_PUBLIC_URL``."""

    auth: WebhookAuthentication
    """How Dataverse proves that it is the sender."""


class _ServiceBusEndpoint(Section):
    namespace: str
    """The namespace's host name: ``contoso.servicebus.windows.net``."""

    shared_access_key_name: str
    """The policy that Dataverse sends with; it needs the Send claim only."""

    shared_access_key: str
    """The policy's key, as a reference such as ``${keyvault:servicebus-send}``."""

    message_format: Literal["json", "xml", "binary"] = "json"
    """How Dataverse writes the message. The runner reads ``json``."""


class ServiceBusQueueEndpoint(_ServiceBusEndpoint):
    """Dataverse sends each notification to an Azure Service Bus queue.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/azure-integration
    """

    type: Literal["service-bus-queue"]
    """What kind of endpoint this is."""

    queue: Name
    """The queue's name."""


class ServiceBusTopicEndpoint(_ServiceBusEndpoint):
    """Dataverse sends each notification to an Azure Service Bus topic."""

    type: Literal["service-bus-topic"]
    """What kind of endpoint this is."""

    topic: Name
    """The topic's name."""


EndpointRegistration: TypeAlias = Annotated[
    WebhookEndpoint | ServiceBusQueueEndpoint | ServiceBusTopicEndpoint, Field(discriminator="type")
]


class ColumnsRegistration(Section):
    """Logical names of the columns the bridge keeps; null leaves a fact unwritten."""

    status: LogicalName = _COLUMNS.status
    """The Payment status choice."""

    intent_id: LogicalName = _COLUMNS.intent_id
    """Id of the PaymentIntent."""

    checkout_session_id: LogicalName | None = _COLUMNS.checkout_session_id
    """Id of the Checkout Session."""

    amount_received: LogicalName | None = _COLUMNS.amount_received
    """Money that arrived."""

    amount_refunded: LogicalName | None = _COLUMNS.amount_refunded
    """Money that was given back."""

    failure_code: LogicalName | None = _COLUMNS.failure_code
    """Stripe's code of the last failed attempt."""

    failure_message: LogicalName | None = _COLUMNS.failure_message
    """Stripe's words for it."""

    paid_on: LogicalName | None = _COLUMNS.paid_on
    """When the money arrived."""

    last_event: LogicalName | None = _COLUMNS.last_event
    """The Stripe event that was applied last."""

    ledger: LogicalName = _COLUMNS.ledger
    """What the status machine remembers, so that order and repetition of events do not matter."""


class BridgeTable(Section):
    """One table that follows the money."""

    entity: LogicalName
    """The table, by logical name or alias."""

    primary_id: LogicalName | None = None
    """The primary key column; leave out where it is the logical name followed by ``id``."""

    metadata_key: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    """The key of the intent's metadata that carries the row's id."""

    columns: ColumnsRegistration = ColumnsRegistration()
    """Which columns are written."""

    statuses: dict[PaymentStatus, StrictInt] = _STATUSES
    """Payment status -> its number in the table's choice column; one that is left out is never written."""

    amount: LogicalName | None = None
    """The column with the whole amount a row's intent collects, for ``runner reconcile``; leave out where an intent may
    rightly collect less."""

    currency: LogicalName = "transactioncurrencyid"
    """The lookup of the amount's currency."""


class BridgeRegistration(Section):
    """How Stripe's answers reach the rows."""

    events: tuple[Annotated[str, WithJsonSchema({"enum": list(PAYMENT_EVENT_TYPES)})], ...]
    """The Stripe event types that are applied; others are accepted and ignored."""

    organization_id: str | None = None
    """Apply only events of this organization (a GUID or a reference), where two environments share one Stripe
    account."""

    create_sales_orders: StrictBool = False
    """Make a Sales Order for a paid checkout that names no row."""

    tables: tuple[BridgeTable, ...]
    """The tables that follow the money."""


class Registrations(Section):
    """The whole file."""

    entities: dict[str, LogicalName] = {}
    """Short names for tables: alias -> logical name."""

    steps: tuple[StepRegistration, ...] = ()
    """Which plug-in runs when."""

    custom_apis: dict[str, CustomApiRegistration] = {}
    """Messages of your own: unique name -> what they take, do and give back."""

    endpoints: dict[str, EndpointRegistration] = {}
    """Through what a remote environment reaches the runner: name -> webhook or Service Bus queue or topic."""

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
            raise ValueError("The registrations have no bridge section, so no Stripe event can be applied. Add one.")
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
        )
