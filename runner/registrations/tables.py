"""The section ``tables``: tables and columns of your own that the embedded Dataverse is to have.

A real environment has its own; nothing here is deployed there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from runner.registrations.section import ColumnName, LogicalName, Name, SchemaName, Section


class ColumnDescription(Section):
    """A column of a table."""

    type: Literal[
        "String",
        "Memo",
        "Integer",
        "BigInt",
        "Decimal",
        "Double",
        "Money",
        "Boolean",
        "DateTime",
        "Picklist",
        "MultiSelectPicklist",
        "Lookup",
        "Customer",
        "File",
    ]
    """What it holds, by Dataverse's name."""

    display_name: Name | None = None
    """What people read."""

    schema_name: SchemaName | None = None
    """Its name with capitals, which lookups are bound by in the Web API."""

    required: StrictBool = False
    """Whether Create and Update refuse to leave it empty."""

    max_length: Annotated[StrictInt, Field(ge=1)] | None = None
    """The most characters of a String or Memo."""

    precision: Annotated[StrictInt, Field(ge=0, le=10)] | None = None
    """Decimal places of a Decimal, Double or Money."""

    min_value: StrictInt | StrictFloat | None = None
    """The smallest number."""

    max_value: StrictInt | StrictFloat | None = None
    """The greatest number."""

    date_only: StrictBool = False
    """A DateTime that holds dates without a time."""

    auto_number_format: str | None = None
    """Numbers the new rows of a String: ``B-{SEQNUM:5}``."""

    options: dict[int, Name] | None = None
    """The choices of a Picklist or MultiSelectPicklist: number -> label."""

    default: StrictBool | StrictInt | None = None
    """What a Boolean or Picklist of a new row is, unless the row says otherwise."""

    targets: tuple[LogicalName, ...] = ()
    """The tables a Lookup may lead to."""

    cascade_delete: Literal["RemoveLink", "Restrict", "Cascade"] | None = None
    """What deleting the row does that a Lookup leads to."""

    max_size_in_kb: Annotated[StrictInt, Field(ge=1)] | None = None
    """The largest File, in kilobytes."""


class KeyDescription(Section):
    """An alternate key of a table."""

    columns: Annotated[tuple[ColumnName, ...], Field(min_length=1)]
    """The columns whose values together occur once."""


class TableDescription(Section):
    """A table of your own, or columns of your own on one that is there."""

    display_name: Name | None = None
    """What people read."""

    schema_name: SchemaName | None = None
    """Its name with capitals: ``new_Booking``."""

    entity_set_name: LogicalName | None = None
    """Its name in the addresses of the Web API."""

    primary_name: LogicalName | None = None
    """The column that names a row."""

    ownership: Literal["UserOwned", "OrganizationOwned"] = "UserOwned"
    """Whether rows belong to a user or team, or to the organization."""

    columns: dict[LogicalName, ColumnDescription] = {}
    """Its columns: logical name -> what it holds. The platform's own are added."""

    keys: dict[LogicalName, KeyDescription] = {}
    """Its alternate keys: name -> columns."""
