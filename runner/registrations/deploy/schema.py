"""Creates the tables and columns that an environment lacks, from the embedded Dataverse's descriptions.

Sources: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-definitions-using-web-api
  https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-column-definitions-using-web-api
  https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-relationships-using-web-api
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dataverse_client.errors import InvalidRequestError
from dataverse_client.types import QueryExpression
from runner.registrations.deploy.problems import DeployError

if TYPE_CHECKING:
    from dataverse_client.client import DataverseClient
    from dataverse_client.metadata import TableMetadata

Description: TypeAlias = Mapping[str, Any]
"""A table or column as the files of the embedded Dataverse describe it."""

#: The tables that hold payments, which ``runner apply --schema`` makes.
PRODUCT_TABLES = ("new_payment", "salesorder")

_CRM = "Microsoft.Dynamics.CRM"
_ENGLISH = 1033


@dataclass(frozen=True, slots=True)
class Addition:
    """Something the environment lacks. ``name`` is what people call it; ``definition`` goes to ``path``."""

    kind: str
    name: str
    path: str
    definition: Description


@dataclass(frozen=True, slots=True)
class _Writer:
    """Definitions with labels in the language of the environment."""

    language: int

    def table(self, table: Description) -> Addition:
        """With its primary name alone, which it cannot be without: the other columns are added as to any table."""
        name = table["primary_name"]
        definition = {
            "@odata.type": f"{_CRM}.EntityMetadata",
            "SchemaName": table["schema_name"],
            "DisplayName": self._label(table["display_name"]),
            "DisplayCollectionName": self._label(f"{table['display_name']}s"),
            "OwnershipType": table.get("ownership", "UserOwned"),
            "IsActivity": False,
            "HasActivities": False,
            "HasNotes": False,
            "ChangeTrackingEnabled": True,
            "Attributes": [{**self._attribute(name, table["columns"][name]), "IsPrimaryName": True}],
        }
        return Addition("table", table["logical_name"], "EntityDefinitions", definition)

    def column(self, table: str, name: str, body: Description) -> Addition:
        match body["type"]:
            case "Lookup":
                return Addition("column", f"{table}.{name}", "RelationshipDefinitions", self._lookup(table, name, body))
            case "Customer":
                return Addition(
                    "column", f"{table}.{name}", "CreateCustomerRelationships", self._customer(table, name, body)
                )
        path = f"EntityDefinitions(LogicalName='{table}')/Attributes"
        return Addition("column", f"{table}.{name}", path, self._attribute(name, body))

    def key(self, table: str, name: str, body: Description) -> Addition:
        definition = {
            "SchemaName": body["schema_name"],
            "DisplayName": self._label(body["schema_name"].partition("_")[2]),
            "KeyAttributes": list(body["columns"]),
        }
        return Addition("key", f"{table}.{name}", f"EntityDefinitions(LogicalName='{table}')/Keys", definition)

    def _attribute(self, name: str, body: Description) -> dict[str, Any]:
        kind = body["type"]
        return {
            "@odata.type": f"{_CRM}.{kind}AttributeMetadata",
            "SchemaName": _schema_name(name, body),
            "DisplayName": self._label(_display_name(name, body)),
            "RequiredLevel": {"Value": "ApplicationRequired" if body.get("required") else "None"},
            **self._facts(kind, body),
        }

    def _facts(self, kind: str, body: Description) -> dict[str, Any]:
        match kind:
            case "String":
                return {"MaxLength": body["max_length"], "FormatName": {"Value": body.get("format", "Text")}}
            case "Memo":
                return {"MaxLength": body["max_length"], "Format": "TextArea"}
            case "Money":
                return {"Precision": body["precision"], "PrecisionSource": body.get("precision_source", 0)}
            case "DateTime":
                shape, behavior = ("DateOnly", "DateOnly") if body.get("date_only") else ("DateAndTime", "UserLocal")
                return {"Format": shape, "DateTimeBehavior": {"Value": behavior}}
            case "Picklist":
                return self._choice(body)
        raise DeployError(f"A column of type {kind} cannot be made: add it in the environment.")

    def _choice(self, body: Description) -> dict[str, Any]:
        options = [{"Value": number, "Label": self._label(label)} for number, label in body["options"].items()]
        option_set = {"@odata.type": f"{_CRM}.OptionSetMetadata", "IsGlobal": False, "OptionSetType": "Picklist"}
        return {"OptionSet": {**option_set, "Options": options}, "DefaultFormValue": body.get("default", -1)}

    def _lookup(self, table: str, name: str, body: Description) -> dict[str, Any]:
        (target,) = body["targets"]
        relationship = self._relationship(table, name, body, target)
        return {**relationship, "Lookup": self._lookup_attribute("Lookup", name, body)}

    def _customer(self, table: str, name: str, body: Description) -> dict[str, Any]:
        relationships = [self._relationship(table, name, body, target) for target in body["targets"]]
        lookup = self._lookup_attribute("ComplexLookup", name, body)
        return {"OneToManyRelationships": relationships, "Lookup": lookup}

    def _relationship(self, table: str, name: str, body: Description, target: str) -> dict[str, Any]:
        role = _schema_name(name, body).partition("_")[2]
        return {
            "@odata.type": f"{_CRM}.OneToManyRelationshipMetadata",
            "SchemaName": f"{table}_{role}_{target}",
            "ReferencedEntity": target,
            "ReferencedAttribute": f"{target}id",
            "ReferencingEntity": table,
        }

    def _lookup_attribute(self, kind: str, name: str, body: Description) -> dict[str, Any]:
        return {
            "@odata.type": f"{_CRM}.{kind}AttributeMetadata",
            "SchemaName": _schema_name(name, body),
            "DisplayName": self._label(_display_name(name, body)),
            "RequiredLevel": {"Value": "None"},
        }

    def _label(self, text: str) -> dict[str, Any]:
        localized = {"@odata.type": f"{_CRM}.LocalizedLabel", "Label": text, "LanguageCode": self.language}
        return {"@odata.type": f"{_CRM}.Label", "LocalizedLabels": [localized]}


def missing(client: DataverseClient, tables: Sequence[Description]) -> list[Addition]:
    """What the environment lacks of these tables, in the order in which it can be made.

    Raises:
      DeployError: a table that is not one of ours is missing: an application is not installed.
      DataverseError: the environment cannot be read.
    """
    writer = _Writer(_language(client))
    present = {table["logical_name"]: table_metadata(client, table["logical_name"]) for table in tables}
    for table in tables:
        if present[table["logical_name"]] is None and not table.get("is_custom"):
            raise DeployError(
                f"The environment has no table {table['logical_name']}: install the application it comes with, such as "
                "Dynamics 365 Sales."
            )
    new = [writer.table(table) for table in tables if present[table["logical_name"]] is None]
    columns = [each for table in tables for each in _columns(writer, table, present[table["logical_name"]])]
    keys = [each for table in tables for each in _keys(writer, table, present[table["logical_name"]])]
    return [*new, *columns, *keys]


def add(client: DataverseClient, additions: Iterable[Addition], progress: Callable[[Addition], None]) -> None:
    """Make what is missing, one by one: Dataverse changes no schema in a transaction. Again does what is left.

    ``progress`` hears of each when it is made.

    Raises:
      DataverseError: the environment refused one; those before it are there.
    """
    for each in additions:
        client.define(each.path, each.definition)
        progress(each)


def table_metadata(client: DataverseClient, name: str) -> TableMetadata | None:
    """What the environment says of a table; None when it has none of that name."""
    try:
        return client.metadata.table(name)
    except InvalidRequestError as error:
        if error.status != 404:
            raise
        return None


def _columns(writer: _Writer, table: Description, present: TableMetadata | None) -> Iterator[Addition]:
    known = {table["primary_name"]} if present is None else present.attribute_types.keys()
    for name, body in _own_columns(table).items():
        if name not in known:
            yield writer.column(table["logical_name"], name, body)


def _keys(writer: _Writer, table: Description, present: TableMetadata | None) -> Iterator[Addition]:
    known = () if present is None else present.keys
    for name, body in table.get("keys", {}).items():
        if set(body["columns"]) not in map(set, known):
            yield writer.key(table["logical_name"], name, body)


def _own_columns(table: Description) -> dict[str, Description]:
    """Those with the publisher's prefix: the platform makes the others."""
    return {name: body for name, body in table["columns"].items() if name.startswith("new_")}


def _schema_name(name: str, body: Description) -> str:
    prefix, _, rest = name.partition("_")
    return str(body.get("schema_name") or f"{prefix}_{rest[:1].upper()}{rest[1:]}")


def _display_name(name: str, body: Description) -> str:
    """``new_PaidOn`` -> Paid On."""
    words = _schema_name(name, body).partition("_")[2]
    spaced = "".join(f" {each}" if each.isupper() else each for each in words)
    return str(body.get("display_name") or spaced.strip())


def _language(client: DataverseClient) -> int:
    """The environment's base language, in which every label must exist."""
    (organization,) = client.query(QueryExpression("organization", ("languagecode",)))
    return int(organization.get("languagecode", _ENGLISH))
