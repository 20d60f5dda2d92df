"""Rows of the registration tables in the form in which they are compared.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/entities/sdkmessageprocessingstep
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dataverse_client.types import Entity, EntityReference, OptionSetValue

ENDPOINT = "serviceendpoint"
STEP = "sdkmessageprocessingstep"
IMAGE = "sdkmessageprocessingstepimage"
API = "customapi"
PARAMETER = "customapirequestparameter"
PROPERTY = "customapiresponseproperty"
MESSAGE = "sdkmessage"
FILTER = "sdkmessagefilter"

Columns: TypeAlias = Mapping[str, Any]

#: What is compared. The names of columns are Dataverse's.
COMPARED: Mapping[str, tuple[str, ...]] = {
    ENDPOINT: (
        *("name", "description", "contract", "authtype", "url", "messageformat", "connectionmode"),
        *("path", "namespaceaddress", "namespaceformat", "solutionnamespace", "saskeyname"),
    ),
    STEP: (
        *("name", "sdkmessageid", "sdkmessagefilterid", "stage", "mode", "rank", "filteringattributes"),
        *("eventhandler", "impersonatinguserid", "asyncautodelete", "supporteddeployment", "statecode"),
    ),
    IMAGE: ("name", "entityalias", "imagetype", "messagepropertyname", "attributes", f"{STEP}id"),
    API: (
        *("name", "uniquename", "displayname", "description", "bindingtype", "boundentitylogicalname", "isfunction"),
        "allowedcustomprocessingsteptype",
    ),
    PARAMETER: ("name", "uniquename", "displayname", "description", "type", "isoptional", f"{API}id"),
    PROPERTY: ("name", "uniquename", "displayname", "description", "type", f"{API}id"),
}

#: Rows that are part of another one -> the column that names it. They follow the file, whoever added them.
PART_OF: Mapping[str, str] = {IMAGE: f"{STEP}id", PARAMETER: f"{API}id", PROPERTY: f"{API}id"}

#: Lists of columns: their order means nothing.
_LISTS = frozenset({"filteringattributes", "attributes"})

#: Choices as people read them.
_LABELS: Mapping[str, Mapping[int, str]] = {
    "stage": {10: "PreValidation", 20: "PreOperation", 40: "PostOperation"},
    "mode": {0: "Synchronous", 1: "Asynchronous"},
    "statecode": {0: "Enabled", 1: "Disabled"},
    "imagetype": {0: "PreImage", 1: "PostImage", 2: "Both"},
    "contract": {2: "Queue", 5: "Topic", 6: "Queue (Persistent)", 8: "Webhook"},
    "authtype": {2: "SAS Key", 4: "Webhook Key", 5: "Http Header", 6: "Http Query String"},
    "messageformat": {1: "Binary XML", 2: "Json", 3: "Text XML"},
    "connectionmode": {1: "Normal", 2: "Federated"},
    "namespaceformat": {1: "Namespace Name", 2: "Namespace Address"},
    "supporteddeployment": {0: "Server Only", 1: "Outlook Client Only", 2: "Both"},
    "bindingtype": {0: "Global", 1: "Entity", 2: "EntityCollection"},
    "allowedcustomprocessingsteptype": {0: "None", 1: "Async Only", 2: "Sync and Async"},
}


@dataclass(frozen=True, slots=True)
class Listening:
    """What a step listens to. ``table`` None is every table."""

    message: str
    table: str | None

    def __str__(self) -> str:
        return f"{self.message} of {self.table or 'any Entity'}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a registration table. ``columns`` has those that have a value.

    ``secrets`` are columns that can be written and never read: only a row that is wanted knows them. ``awaits`` is a
    message that a custom API of the same plan brings: only then has it the ids that the row needs.
    """

    table: str
    id: str
    columns: Columns
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    awaits: Listening | None = None

    @classmethod
    def of(cls, entity: Entity) -> Row:
        """A row as it was read."""
        return cls(entity.logical_name, entity.id or "", dict(entity.items()))

    @property
    def name(self) -> str:
        return str(self.columns.get("name", ""))

    @property
    def reference(self) -> EntityReference:
        return EntityReference(self.table, self.id, self.name)


def same(column: str, one: Any, other: Any) -> bool:
    """Whether two values of a column mean the same."""
    if column in _LISTS:
        return listed(one) == listed(other)
    return (one or None) == (other or None)


def text(column: str, value: Any) -> str | None:
    """A value as it is shown; None when there is none."""
    match value:
        case None | "":
            return None
        case OptionSetValue(value=number):
            return _LABELS.get(column, {}).get(number, str(number))
        case EntityReference():
            return value.name or value.id
        case bool():
            return "yes" if value else "no"
    return ", ".join(sorted(listed(value))) if column in _LISTS else str(value)


def listed(value: str | None) -> frozenset[str]:
    """The names in a list of columns, in lower case."""
    return frozenset(name.strip().lower() for name in (value or "").split(",") if name.strip())
