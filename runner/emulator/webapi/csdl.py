"""Writes ``$metadata``: tables, functions and actions as an OData schema, from which clients generate code.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-service-documents
Source: https://docs.oasis-open.org/odata/odata/v4.0/odata-v4.0-part3-csdl.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import quoteattr

from runner.emulator.metadata.model import AttributeType, Column, Table
from runner.emulator.query.edm import edm_type, property_name
from runner.emulator.webapi.csdl_operations import Operation, common_types, operation, operation_import
from runner.emulator.webapi.schema import Navigation, Schema, far_end

_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
<edmx:DataServices>
<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<EntityType Name="crmbaseentity" Abstract="true" />
<ComplexType Name="BooleanManagedProperty">
<Property Name="Value" Type="Edm.Boolean" />
<Property Name="CanBeChanged" Type="Edm.Boolean" />
<Property Name="ManagedPropertyLogicalName" Type="Edm.String" />
</ComplexType>
"""
_FOOT = "</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n"


#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
_CHANGES_TRACKED = (
    '<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking">'
    '<Record><PropertyValue Property="Supported" Bool="true" /></Record></Annotation>\n'
)


def schema_document(schema: Schema, operations: Sequence[Operation], *, annotated: bool = False) -> str:
    """The CSDL of all tables and operations. ``annotated`` adds annotations such as support of change tracking."""
    return "".join((_HEAD, *_types(schema, operations), *_container(schema, operations, annotated), _FOOT))


def _types(schema: Schema, operations: Sequence[Operation]) -> Iterator[str]:
    yield from common_types()
    for table in schema.metadata.tables.values():
        yield from _entity_type(schema, table)
    for each in operations:
        yield from operation(each)


def _entity_type(schema: Schema, table: Table) -> Iterator[str]:
    yield f'<EntityType Name={quoteattr(table.logical_name)} BaseType="mscrm.crmbaseentity">\n'
    yield f"<Key><PropertyRef Name={quoteattr(table.primary_id_attribute)} /></Key>\n"
    for column in table.columns.values():
        yield f'<Property Name={quoteattr(property_name(column))} Type="{_property_type(column)}" />\n'
    yield from _navigation_properties(schema.navigation(table), table.logical_name)
    yield "</EntityType>\n"


def _property_type(column: Column) -> str:
    return "mscrm.BooleanManagedProperty" if column.type is AttributeType.MANAGED_PROPERTY else edm_type(column)


def _navigation_properties(navigation: Navigation, table: str) -> Iterator[str]:
    for name, relationships in navigation.lookups.items():
        # A property such as ownerid may refer to several tables; its type is then their common base type.
        target = relationships[0].referenced_entity if len(relationships) == 1 else "crmbaseentity"
        column = f"_{relationships[0].referencing_attribute}_value"
        yield f'<NavigationProperty Name={quoteattr(name)} Type="mscrm.{target}">'
        yield f"<ReferentialConstraint Property={quoteattr(column)} "
        yield f"ReferencedProperty={quoteattr(relationships[0].referenced_attribute)} /></NavigationProperty>\n"
    for name, relationship in navigation.collections.items():
        target = far_end(relationship, table)
        yield f'<NavigationProperty Name={quoteattr(name)} Type="Collection(mscrm.{target})" />\n'


def _container(schema: Schema, operations: Sequence[Operation], annotated: bool) -> Iterator[str]:
    yield '<EntityContainer Name="System">\n'
    for table in schema.metadata.tables.values():
        entity_set = quoteattr(table.entity_set_name)
        yield f'<EntitySet Name={entity_set} EntityType="Microsoft.Dynamics.CRM.{table.logical_name}">\n'
        yield from _bindings(schema, table)
        if annotated and table.change_tracking_enabled:
            yield _CHANGES_TRACKED
        yield "</EntitySet>\n"
    for each in operations:
        yield from operation_import(each)
    yield "</EntityContainer>\n"


def _bindings(schema: Schema, table: Table) -> Iterator[str]:
    navigation = schema.navigation(table)
    targets = {name: found[0].referenced_entity for name, found in navigation.lookups.items() if len(found) == 1}
    targets |= {name: far_end(found, table.logical_name) for name, found in navigation.collections.items()}
    for name, target in targets.items():
        entity_set = schema.table(target).entity_set_name
        yield f"<NavigationPropertyBinding Path={quoteattr(name)} Target={quoteattr(entity_set)} />\n"
