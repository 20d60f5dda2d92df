"""The messages that retrieve definitions of tables, columns, choices, keys and relationships.

A definition is a dictionary with the property names of the Web API, ``EntityMetadata``'s for example.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.messages.retrieveentityrequest
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import STRICT, IntFlag
from typing import Any

from runner.emulator.call import Call
from runner.emulator.errors import AttributeNotFound, EntityNotFound, InvalidArgument, ObjectDoesNotExist
from runner.emulator.messages.environment import Environment, Handler
from runner.emulator.messages.parameters import parameter
from runner.emulator.messages.reading import Answer, reading
from runner.emulator.metadata.definition_documents import (
    attribute_document,
    option_set_document,
    relationship_documents,
    table_document,
)
from runner.emulator.metadata.document import Document
from runner.emulator.metadata.model import Table
from runner.emulator.pipeline.operation import NO_ENTITY


class EntityFilters(IntFlag, boundary=STRICT):
    """Which parts of a table's definition to retrieve besides its own properties.

    Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk.metadata.entityfilters
    """

    ENTITY = DEFAULT = 1
    ATTRIBUTES = 2
    PRIVILEGES = 4
    RELATIONSHIPS = 8
    ALL = 15

    @classmethod
    def asked_for(cls, parameters: Mapping[str, Any]) -> EntityFilters:
        """The flags in the parameter: a number, or names with commas. Raises InvalidArgument."""
        given = parameters.get("EntityFilters")
        if given is None:
            return cls.DEFAULT
        try:
            if isinstance(given, int):
                return cls(given)
            flags = cls(0)
            for name in str(given).split(","):
                flags |= cls[name.strip().upper()]
        except (KeyError, ValueError):
            names = ", ".join(name.title() for name in cls.__members__)
            raise InvalidArgument(f"Parameter 'EntityFilters' takes some of {names}, not {given!r}.") from None
        return flags


_PARTS = {
    EntityFilters.ENTITY: ("Keys",),
    EntityFilters.ATTRIBUTES: ("Attributes",),
    EntityFilters.RELATIONSHIPS: ("OneToManyRelationships", "ManyToOneRelationships", "ManyToManyRelationships"),
}


def _table(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Raises EntityNotFound."""
    table = _named_table(engine, parameters, "LogicalName")
    document = table_document(engine.store.metadata, table)
    return {"EntityMetadata": _with_parts(document, EntityFilters.asked_for(parameters))}


def _tables(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    metadata, filters = engine.store.metadata, EntityFilters.asked_for(parameters)
    documents = [table_document(metadata, table) for table in metadata.tables.values()]
    return {"EntityMetadata": [_with_parts(document, filters) for document in documents]}


def _attribute(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Raises EntityNotFound or AttributeNotFound."""
    table = _named_table(engine, parameters, "EntityLogicalName")
    documents = [attribute_document(table, column, engine.store.metadata) for column in table.columns.values()]
    document = _found(documents, parameters, "LogicalName")
    if document is None:
        raise AttributeNotFound.named(table.logical_name, str(parameters.get("LogicalName")), table.columns)
    return {"AttributeMetadata": _with_options(document)}


def _key(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Raises EntityNotFound or ObjectDoesNotExist."""
    table = _named_table(engine, parameters, "EntityLogicalName")
    keys: Any = table_document(engine.store.metadata, table).navigation["Keys"]()
    return {"EntityKeyMetadata": _required(keys, parameters, "LogicalName")}


def _option_set(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Raises ObjectDoesNotExist."""
    documents = [option_set_document(each) for each in engine.store.metadata.option_sets.values()]
    return {"OptionSetMetadata": _required(documents, parameters, "Name")}


def _option_sets(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    option_sets = engine.store.metadata.option_sets.values()
    return {"OptionSetMetadata": [dict(option_set_document(each).values) for each in option_sets]}


def _relationship(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Raises ObjectDoesNotExist."""
    named = {**parameters, "SchemaName": parameters.get("Name")}
    return {"RelationshipMetadata": _required(relationship_documents(engine.store.metadata), named, "SchemaName")}


def _named_table(engine: Environment, parameters: Mapping[str, Any], name_parameter: str) -> Table:
    tables = engine.store.metadata.tables
    if parameters.get(name_parameter) is None and "MetadataId" in parameters:
        id = parameter(parameters, "MetadataId", str).lower()
        found = next((table for table in tables.values() if table.metadata_id == id), None)
        if found is None:
            raise ObjectDoesNotExist(f"There is no table with the MetadataId '{id}'.")
        return found
    name = parameter(parameters, name_parameter, str)
    if name not in tables:
        raise EntityNotFound.named(name, tables)
    return tables[name]


def _found(documents: Iterable[Document], parameters: Mapping[str, Any], name: str) -> Document | None:
    """The definition that the parameters name, or else identify by MetadataId."""
    key = name if parameters.get(name) is not None else "MetadataId"
    wanted = parameter(parameters, key, str).lower()
    return next((each for each in documents if str(each.values[key]).lower() == wanted), None)


def _required(documents: Iterable[Document], parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    document = _found(documents, parameters, name)
    if document is None:
        wanted = parameters.get(name) or parameters.get("MetadataId")
        raise ObjectDoesNotExist(f"There is no definition whose {name} or MetadataId is '{wanted}'.")
    return dict(document.values)


def _with_parts(document: Document, filters: EntityFilters) -> dict[str, Any]:
    body = dict(document.values)
    for part in (name for flag, names in _PARTS.items() if flag in filters for name in names):
        found: Any = document.navigation[part]()
        body[part] = [_with_options(each) for each in found]
    return body


def _with_options(document: Document) -> dict[str, Any]:
    """A definition, with the options if it is a choice's or a yes/no column's."""
    find = document.navigation.get("OptionSet")
    option_set = find() if find is not None else None
    if isinstance(option_set, Document):
        return {**document.values, "OptionSet": dict(option_set.values)}
    return dict(document.values)


_ANSWERS: dict[str, Answer] = {
    "RetrieveAllEntities": _tables,
    "RetrieveAllOptionSets": _option_sets,
    "RetrieveAttribute": _attribute,
    "RetrieveEntity": _table,
    "RetrieveEntityKey": _key,
    "RetrieveOptionSet": _option_set,
    "RetrieveRelationship": _relationship,
}
DEFINITION_MESSAGES: tuple[tuple[str, Handler], ...] = tuple(
    (name, reading(name, answer)) for name, answer in _ANSWERS.items()
)
#: The messages in lower case, and the table that each reads.
DEFINITION_READS = {name.lower(): NO_ENTITY for name in _ANSWERS}
