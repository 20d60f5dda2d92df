"""The model of tables, columns, keys and relationships. Plain data, no I/O.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/entity-metadata
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dataverse_client.types import EMPTY_GUID


class AttributeType(StrEnum):
    """The types of columns: ``AttributeTypeCode`` in the spelling of the Web API."""

    UNIQUEIDENTIFIER = "Uniqueidentifier"
    STRING = "String"
    MEMO = "Memo"
    INTEGER = "Integer"
    BIG_INT = "BigInt"
    DECIMAL = "Decimal"
    DOUBLE = "Double"
    MONEY = "Money"
    BOOLEAN = "Boolean"
    MANAGED_PROPERTY = "ManagedProperty"
    DATE_TIME = "DateTime"
    PICKLIST = "Picklist"
    #: In the Web API, ``AttributeType`` is Virtual and ``AttributeTypeName`` MultiSelectPicklistType.
    MULTI_SELECT_PICKLIST = "MultiSelectPicklist"
    STATE = "State"
    STATUS = "Status"
    LOOKUP = "Lookup"
    CUSTOMER = "Customer"
    OWNER = "Owner"
    #: In the Web API, ``AttributeType`` is Virtual and ``AttributeTypeName`` FileType.
    FILE = "File"


LOOKUP_TYPES = frozenset({AttributeType.LOOKUP, AttributeType.CUSTOMER, AttributeType.OWNER})
TEXT_TYPES = frozenset({AttributeType.STRING, AttributeType.MEMO})
CHOICE_TYPES = frozenset({AttributeType.PICKLIST, AttributeType.STATE, AttributeType.STATUS})


class Ownership(StrEnum):
    USER = "UserOwned"
    BUSINESS = "BusinessOwned"
    ORGANIZATION = "OrganizationOwned"
    NONE = "None"


class CascadeDelete(StrEnum):
    """What happens to the rows that refer to a row when it is deleted."""

    NO_CASCADE = "NoCascade"
    REMOVE_LINK = "RemoveLink"
    RESTRICT = "Restrict"
    CASCADE = "Cascade"


class CascadeAssign(StrEnum):
    """Which of the rows that refer to a row are assigned to its new owner as well."""

    NO_CASCADE = "NoCascade"
    CASCADE = "Cascade"
    ACTIVE = "Active"
    #: Those with the same owner.
    USER_OWNED = "UserOwned"


@dataclass(frozen=True, slots=True)
class Option:
    """One value of a choice. ``state`` is the state a status reason belongs to."""

    value: int
    label: str
    state: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSet:
    """A global choice: options that columns of several tables share."""

    name: str
    display_name: str
    options: tuple[Option, ...]
    metadata_id: str = EMPTY_GUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """``AttributeMetadata`` of one column. Lengths are in characters, precision in decimal places."""

    logical_name: str
    schema_name: str
    type: AttributeType
    display_name: str
    metadata_id: str = EMPTY_GUID
    #: Required in forms, but not by the platform.
    required: bool = False
    #: Required by the platform.
    system_required: bool = False
    max_length: int | None = None
    precision: int | None = None
    #: The source of a money column's decimal places: 0 ``precision``, 1 the organization, 2 the row's currency.
    precision_source: int = 0
    min_value: float | None = None
    max_value: float | None = None
    #: Holds dates (``DateTimeBehavior`` DateOnly), not moments.
    date_only: bool = False
    #: ``FormatName`` of a text column: Text, Email, Url, Phone. ``Format`` of a date: DateOnly, DateAndTime.
    format: str = "Text"
    #: The format of an autonumber column's default, such as ``WID-{SEQNUM:5}``.
    auto_number_format: str | None = None
    options: tuple[Option, ...] = ()
    #: The name of the global choice that the column uses.
    option_set: str | None = None
    default_value: int | str | bool | None = None
    #: Logical names of the tables that a lookup can refer to.
    targets: tuple[str, ...] = ()
    #: A lookup that may refer to a deleted row, because it records the past.
    may_dangle: bool = False
    #: The money column of which this column holds the value in the base currency.
    base_of: str | None = None
    #: The column that this one belongs to, for the name of a file.
    attribute_of: str | None = None
    #: The greatest file, in kilobytes, for a file column.
    max_size_in_kb: int | None = None
    is_valid_for_create: bool = True
    is_valid_for_update: bool = True
    #: The logical name of the managed property, for a column of type ``BooleanManagedProperty``.
    managed_property: str = ""
    #: The store has an index on it, because queries often filter or sort by it.
    indexed: bool = False
    is_custom: bool = False

    @property
    def is_lookup(self) -> bool:
        return self.type in LOOKUP_TYPES

    @property
    def is_text(self) -> bool:
        return self.type in TEXT_TYPES

    @property
    def shows_date_only(self) -> bool:
        """Whether its values are shown without a time of day, which they may have."""
        return self.date_only or self.format == "DateOnly"

    @property
    def is_choice(self) -> bool:
        return self.type in CHOICE_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class AlternateKey:
    logical_name: str
    schema_name: str
    columns: tuple[str, ...]
    metadata_id: str = EMPTY_GUID
    #: Its creation failed because rows had the same values, so it is not in effect.
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OneToManyRelationship:
    """A one-to-many relationship, which a lookup makes. A polymorphic lookup has one for each target."""

    schema_name: str
    referenced_entity: str
    referenced_attribute: str
    referencing_entity: str
    referencing_attribute: str
    #: The navigation property of the lookup, case-sensitive for custom columns.
    referencing_entity_navigation_property_name: str
    #: The collection-valued navigation property of the referenced table.
    referenced_entity_navigation_property_name: str
    cascade_delete: CascadeDelete = CascadeDelete.REMOVE_LINK
    cascade_assign: CascadeAssign = CascadeAssign.NO_CASCADE
    #: Whether the lookup forms the table's hierarchy; at most one of a table does.
    is_hierarchical: bool = False
    metadata_id: str = EMPTY_GUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyToManyRelationship:
    schema_name: str
    entity1_logical_name: str
    entity1_intersect_attribute: str
    entity2_logical_name: str
    entity2_intersect_attribute: str
    intersect_entity_name: str
    metadata_id: str = EMPTY_GUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``EntityMetadata`` of one table."""

    logical_name: str
    schema_name: str
    entity_set_name: str
    primary_id_attribute: str
    primary_name_attribute: str | None
    display_name: str
    columns: Mapping[str, Column]
    #: The plural of the display name; None adds an s to it.
    collection_display_name: str | None = None
    keys: tuple[AlternateKey, ...] = ()
    ownership: Ownership = Ownership.USER
    object_type_code: int = 0
    change_tracking_enabled: bool = True
    is_custom: bool = False
    #: It is the intersect table of a many-to-many relationship.
    is_intersect: bool = False
    metadata_id: str = EMPTY_GUID

    @property
    def file_columns(self) -> frozenset[str]:
        """The logical names of its file columns."""
        return frozenset(name for name, column in self.columns.items() if column.type is AttributeType.FILE)


@dataclass(frozen=True, slots=True)
class Metadata:
    """The tables of an environment and their relationships."""

    tables: Mapping[str, Table]
    one_to_many: tuple[OneToManyRelationship, ...] = ()
    many_to_many: tuple[ManyToManyRelationship, ...] = ()
    #: The global choices, by name.
    option_sets: Mapping[str, OptionSet] = field(default_factory=dict)
    by_entity_set: Mapping[str, Table] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_entity_set", {t.entity_set_name: t for t in self.tables.values()})

    def many_to_one(self, logical_name: str) -> tuple[OneToManyRelationship, ...]:
        """The relationships in which this table refers to another."""
        return tuple(r for r in self.one_to_many if r.referencing_entity == logical_name)

    def hierarchy(self, logical_name: str) -> OneToManyRelationship | None:
        """The relationship that forms the table's hierarchy; None when there is none."""
        return next((r for r in self.many_to_one(logical_name) if r.is_hierarchical), None)

    def referenced_by(self, logical_name: str) -> tuple[OneToManyRelationship, ...]:
        """The relationships in which other tables refer to this one."""
        return tuple(r for r in self.one_to_many if r.referenced_entity == logical_name)

    def assigns_along(self, logical_name: str) -> tuple[OneToManyRelationship, ...]:
        """The relationships that cascade an assignment of this table's rows to other tables."""
        return tuple(r for r in self.referenced_by(logical_name) if r.cascade_assign is not CascadeAssign.NO_CASCADE)
