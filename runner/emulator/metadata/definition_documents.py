"""Describes tables, columns, keys and relationships as documents of the metadata API.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/entitymetadata
Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/attributemetadata
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from runner.emulator.metadata.definition_defaults import (
    COLUMN_DEFAULTS,
    MANAGED_COLUMN_DEFAULTS,
    MANAGED_TABLE_DEFAULTS,
    TABLE_DEFAULTS,
)
from runner.emulator.metadata.document import Document, managed_property
from runner.emulator.metadata.model import (
    AlternateKey,
    AttributeType,
    Column,
    ManyToManyRelationship,
    Metadata,
    OneToManyRelationship,
    Option,
    OptionSet,
    Table,
)

NAMESPACE = "Microsoft.Dynamics.CRM."
ENGLISH = 1033

_CLASS_NAMES = {
    AttributeType.UNIQUEIDENTIFIER: "UniqueIdentifier",
    AttributeType.CUSTOMER: "Lookup",
    AttributeType.OWNER: "Lookup",
}
_ENUM_TYPES = frozenset(
    {AttributeType.PICKLIST, AttributeType.STATE, AttributeType.STATUS, AttributeType.MULTI_SELECT_PICKLIST}
)

#: The types that ``AttributeType`` does not tell; ``AttributeTypeName`` does.
_VIRTUAL = frozenset({AttributeType.MULTI_SELECT_PICKLIST, AttributeType.FILE})


def label(text: str) -> dict[str, Any]:
    """``text`` as a Label with one language."""
    localized = {"Label": text, "LanguageCode": ENGLISH, "IsManaged": False, "HasChanged": None}
    return {"LocalizedLabels": [localized], "UserLocalizedLabel": localized}


def table_document(metadata: Metadata, table: Table) -> Document:
    """A table's EntityMetadata, with links to its columns, keys and relationships."""
    return Document(
        _table_values(table),
        {
            "Attributes": lambda: [attribute_document(table, each, metadata) for each in table.columns.values()],
            "Keys": lambda: [_key_document(table, key) for key in table.keys],
            "ManyToOneRelationships": lambda: _one_to_many(metadata.many_to_one(table.logical_name)),
            "OneToManyRelationships": lambda: _one_to_many(metadata.referenced_by(table.logical_name)),
            "ManyToManyRelationships": lambda: _many_to_many(metadata, table.logical_name),
        },
    )


def _table_values(table: Table) -> dict[str, Any]:
    return {
        "MetadataId": table.metadata_id,
        "LogicalName": table.logical_name,
        "SchemaName": table.schema_name,
        "EntitySetName": table.entity_set_name,
        "LogicalCollectionName": table.entity_set_name,
        "CollectionSchemaName": table.schema_name + "s",
        "PrimaryIdAttribute": table.primary_id_attribute,
        "PrimaryNameAttribute": table.primary_name_attribute,
        "PrimaryImageAttribute": None,
        "DisplayName": label(table.display_name),
        "DisplayCollectionName": label(table.collection_display_name or f"{table.display_name}s"),
        "Description": label(table.display_name),
        "ObjectTypeCode": table.object_type_code,
        "OwnershipType": table.ownership.value,
        "TableType": "Standard",
        "IsCustomEntity": table.is_custom,
        "IsPrivate": False,
        "IsActivity": False,
        "IsIntersect": table.is_intersect,
        "IsManaged": not table.is_custom,
        "IsLogicalEntity": False,
        "IsBPFEntity": False,
        "IsValidForAdvancedFind": True,
        "IsOptimisticConcurrencyEnabled": True,
        "ChangeTrackingEnabled": table.change_tracking_enabled,
        "CanChangeTrackingBeEnabled": managed_property(True, "canchangetrackingbeenabled"),
        "IsCustomizable": managed_property(True, "iscustomizable"),
        "IsRenameable": managed_property(True, "isrenameable"),
        "CanCreateAttributes": managed_property(True, "cancreateattributes"),
        "HasActivities": False,
        "HasNotes": False,
        "DataProviderId": None,
        "ExternalName": None,
        "IntroducedVersion": "1.0.0.0",
        "HasChanged": None,
        **TABLE_DEFAULTS,
        **{name: managed_property(value, managed) for name, (value, managed) in MANAGED_TABLE_DEFAULTS.items()},
    }


def attribute_document(table: Table, column: Column, metadata: Metadata) -> Document:
    """A column's AttributeMetadata, of the class for its type."""
    values, base = _attribute_values(table, column), f"{NAMESPACE}AttributeMetadata"
    if column.type in _ENUM_TYPES:
        bases = (base, f"{NAMESPACE}EnumAttributeMetadata")
        return Document(values, _choices(table, column, metadata), bases)
    if column.type is AttributeType.BOOLEAN:
        of_column = partial(_boolean_option_set, table, column)
        return Document(values, {"OptionSet": of_column, "GlobalOptionSet": lambda: None}, (base,))
    return Document(values, bases=(base,))


def _choices(table: Table, column: Column, metadata: Metadata) -> dict[str, Callable[[], Document | None]]:
    shared = metadata.option_sets.get(column.option_set or "")
    if shared is None:
        return {"OptionSet": partial(_option_set, table, column), "GlobalOptionSet": lambda: None}
    return dict.fromkeys(("OptionSet", "GlobalOptionSet"), lambda: option_set_document(shared))


def option_set_document(option_set: OptionSet) -> Document:
    """A global choice's OptionSetMetadata."""
    values = {
        "@odata.type": f"#{NAMESPACE}OptionSetMetadata",
        "MetadataId": option_set.metadata_id,
        "Name": option_set.name,
        "IsGlobal": True,
        "IsCustomOptionSet": True,
        "IsManaged": False,
        "OptionSetType": "Picklist",
        "DisplayName": label(option_set.display_name),
        "Description": label(option_set.display_name),
        "Options": [_option(option) for option in option_set.options],
    }
    return Document(values, bases=(f"{NAMESPACE}OptionSetMetadataBase",))


def attribute_class(type: AttributeType) -> str:
    """The metadata class of a column type, such as ``MoneyAttributeMetadata``."""
    return f"{_CLASS_NAMES.get(type, type.value)}AttributeMetadata"


def _attribute_values(table: Table, column: Column) -> dict[str, Any]:
    required = "ApplicationRequired" if column.required else "None"
    if column.system_required:
        required = "SystemRequired"
    return {
        "@odata.type": f"#{NAMESPACE}{attribute_class(column.type)}",
        "MetadataId": column.metadata_id,
        "LogicalName": column.logical_name,
        "SchemaName": column.schema_name,
        "EntityLogicalName": table.logical_name,
        "AttributeType": "Virtual" if column.type in _VIRTUAL else column.type.value,
        "AttributeTypeName": {"Value": f"{column.type.value}Type"},
        "DisplayName": label(column.display_name),
        "Description": label(column.display_name),
        "RequiredLevel": managed_property(required, "canmodifyrequirementlevelsettings"),
        "AttributeOf": column.attribute_of,
        "IsPrimaryId": column.logical_name == table.primary_id_attribute,
        "IsPrimaryName": column.logical_name == table.primary_name_attribute,
        "IsCustomAttribute": column.is_custom,
        "IsValidForCreate": column.is_valid_for_create,
        "IsValidForUpdate": column.is_valid_for_update,
        "IsValidForRead": True,
        "IsValidODataAttribute": True,
        "IsLogical": False,
        "IsManaged": not column.is_custom,
        "IsSecured": False,
        "IsCustomizable": managed_property(True, "iscustomizable"),
        "SourceType": 0,
        "HasChanged": None,
        **COLUMN_DEFAULTS,
        **{name: managed_property(value, managed) for name, (value, managed) in MANAGED_COLUMN_DEFAULTS.items()},
        **dict(_type_values(column)),
    }


def _type_values(column: Column) -> Iterator[tuple[str, Any]]:
    match column.type:
        case AttributeType.STRING | AttributeType.MEMO:
            yield "MaxLength", column.max_length
            yield "Format", column.format if column.type is AttributeType.STRING else "TextArea"
            yield "FormatName", {"Value": column.format if column.type is AttributeType.STRING else "TextArea"}
            yield "AutoNumberFormat", column.auto_number_format
        case AttributeType.INTEGER | AttributeType.BIG_INT | AttributeType.DECIMAL | AttributeType.DOUBLE:
            yield from (("MinValue", column.min_value), ("MaxValue", column.max_value), ("Precision", column.precision))
        case AttributeType.MONEY:
            yield from (("MinValue", column.min_value), ("MaxValue", column.max_value), ("Precision", column.precision))
            yield "PrecisionSource", column.precision_source
            yield from (("IsBaseCurrency", column.base_of is not None), ("CalculationOf", column.base_of))
        case AttributeType.DATE_TIME:
            yield "Format", "DateOnly" if column.shows_date_only else "DateAndTime"
            yield "DateTimeBehavior", {"Value": "DateOnly" if column.date_only else "UserLocal"}
        case AttributeType.LOOKUP | AttributeType.CUSTOMER | AttributeType.OWNER:
            yield "Targets", list(column.targets)
        case AttributeType.PICKLIST | AttributeType.STATE | AttributeType.STATUS:
            yield "DefaultFormValue", column.default_value if isinstance(column.default_value, int) else -1
        case AttributeType.FILE:
            yield "MaxSizeInKB", column.max_size_in_kb
        case AttributeType.BOOLEAN:
            yield "DefaultValue", bool(column.default_value)


def _option_set(table: Table, column: Column) -> Document:
    values = {
        "MetadataId": column.metadata_id,
        "Name": f"{table.logical_name}_{column.logical_name}",
        "IsGlobal": False,
        "OptionSetType": "Picklist" if column.type is AttributeType.MULTI_SELECT_PICKLIST else column.type.value,
        "DisplayName": label(column.display_name),
        "Options": [_option(option) for option in column.options],
    }
    return Document(values)


def _boolean_option_set(table: Table, column: Column) -> Document:
    named = {option.value: option for option in column.options}
    values = {
        "MetadataId": column.metadata_id,
        "Name": f"{table.logical_name}_{column.logical_name}",
        "IsGlobal": False,
        "OptionSetType": "Boolean",
        "TrueOption": _option(named.get(1, Option(1, "Yes"))),
        "FalseOption": _option(named.get(0, Option(0, "No"))),
    }
    return Document(values)


def _option(option: Option) -> dict[str, Any]:
    values = {"Value": option.value, "Label": label(option.label), "Description": label(""), "Color": None}
    return values if option.state is None else {**values, "State": option.state}


def _key_document(table: Table, key: AlternateKey) -> Document:
    values = {
        "MetadataId": key.metadata_id,
        "LogicalName": key.logical_name,
        "SchemaName": key.schema_name,
        "EntityLogicalName": table.logical_name,
        "DisplayName": label(key.schema_name),
        "KeyAttributes": list(key.columns),
        "EntityKeyIndexStatus": "Failed" if key.has_failed else "Active",
        "IsManaged": False,
    }
    return Document(values)


def relationship_documents(metadata: Metadata) -> Sequence[Document]:
    """Every relationship of the environment, of both kinds."""
    return [*_one_to_many(metadata.one_to_many), *map(_many_to_many_document, metadata.many_to_many)]


def _one_to_many(relationships: Sequence[OneToManyRelationship]) -> list[Document]:
    return [_one_to_many_document(relationship) for relationship in relationships]


def _one_to_many_document(relationship: OneToManyRelationship) -> Document:
    cascade = dict.fromkeys(("Merge", "Reparent", "Share", "Unshare", "RollupView"), "NoCascade")
    values = {
        "@odata.type": f"#{NAMESPACE}OneToManyRelationshipMetadata",
        "MetadataId": relationship.metadata_id,
        "SchemaName": relationship.schema_name,
        "RelationshipType": "OneToManyRelationship",
        "ReferencedEntity": relationship.referenced_entity,
        "ReferencedAttribute": relationship.referenced_attribute,
        "ReferencingEntity": relationship.referencing_entity,
        "ReferencingAttribute": relationship.referencing_attribute,
        "ReferencedEntityNavigationPropertyName": relationship.referenced_entity_navigation_property_name,
        "ReferencingEntityNavigationPropertyName": relationship.referencing_entity_navigation_property_name,
        "CascadeConfiguration": {
            **cascade,
            "Assign": relationship.cascade_assign.value,
            "Delete": relationship.cascade_delete.value,
        },
        "IsCustomRelationship": relationship.schema_name.startswith("new_"),
        "IsManaged": False,
        "IsHierarchical": relationship.is_hierarchical,
    }
    return Document(values, bases=(f"{NAMESPACE}RelationshipMetadataBase",))


def _many_to_many(metadata: Metadata, table: str) -> list[Document]:
    return [
        _many_to_many_document(relationship)
        for relationship in metadata.many_to_many
        if table in (relationship.entity1_logical_name, relationship.entity2_logical_name)
    ]


def _many_to_many_document(relationship: ManyToManyRelationship) -> Document:
    values = {
        "@odata.type": f"#{NAMESPACE}ManyToManyRelationshipMetadata",
        "MetadataId": relationship.metadata_id,
        "SchemaName": relationship.schema_name,
        "RelationshipType": "ManyToManyRelationship",
        "Entity1LogicalName": relationship.entity1_logical_name,
        "Entity1IntersectAttribute": relationship.entity1_intersect_attribute,
        "Entity1NavigationPropertyName": relationship.schema_name,
        "Entity2LogicalName": relationship.entity2_logical_name,
        "Entity2IntersectAttribute": relationship.entity2_intersect_attribute,
        "Entity2NavigationPropertyName": relationship.schema_name,
        "IntersectEntityName": relationship.intersect_entity_name,
        "IsManaged": False,
    }
    return Document(values, bases=(f"{NAMESPACE}RelationshipMetadataBase",))
