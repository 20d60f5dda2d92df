"""Converts the metadata that a client sends to descriptions as in the YAML files of tables.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-entity-definitions-using-web-api
Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/create-update-column-definitions-using-web-api
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from runner.emulator.metadata.model import AttributeType, CascadeAssign, CascadeDelete, Ownership
from runner.emulator.metadata.naming import plural
from runner.emulator.webapi.faults import BadRequest

Payload: TypeAlias = Mapping[str, Any]
Description: TypeAlias = dict[str, Any]

#: The first value the platform gives to options without one.
FIRST_OPTION = 100000000

_SCHEMA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{1,7}_\w{1,80}\Z", re.ASCII)
_BOUND = re.compile(r"GlobalOptionSetDefinitions\((?:Name='([^']+)'|([0-9a-fA-F-]{36}))\)")
_ATTRIBUTE_CLASS = re.compile(r"#?Microsoft\.Dynamics\.CRM\.(?:Complex)?(\w+)AttributeMetadata\Z")
_CREATABLE = frozenset(AttributeType) - {
    AttributeType.UNIQUEIDENTIFIER,
    AttributeType.STATE,
    AttributeType.STATUS,
    AttributeType.OWNER,
    AttributeType.CUSTOMER,
}
_CHOICES = (AttributeType.PICKLIST, AttributeType.MULTI_SELECT_PICKLIST)
_NUMBERS = {"MaxLength": "max_length", "Precision": "precision", "MinValue": "min_value", "MaxValue": "max_value"}
#: The greatest MaxSizeInKB of a file column.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/file-attributes
_MAX_SIZE_IN_KB = 10485760
#: The properties of CascadeConfiguration that are supported: the key in a description, and the allowed values.
_CASCADES: Mapping[str, tuple[str, type[CascadeDelete | CascadeAssign]]] = {
    "Delete": ("cascade_delete", CascadeDelete),
    "Assign": ("cascade_assign", CascadeAssign),
}
_BEHAVIORS = ("UserLocal", "DateOnly", "TimeZoneIndependent")
_FORMATS = ("Email", "Url", "Phone")


def table_description(payload: Any) -> Description:
    """The description of a new table, from EntityMetadata with its Attributes. Raises BadRequest."""
    payload = _object(payload, "The definition of a table")
    schema_name = _schema_name(payload)
    bodies = [_object(each, "An attribute") for each in _list(payload, "Attributes")]
    columns = dict(column_description(body) for body in bodies)
    logical_name = schema_name.lower()
    ownership = payload.get("OwnershipType") or Ownership.USER.value
    if ownership not in (Ownership.USER.value, Ownership.ORGANIZATION.value):
        raise BadRequest(f"OwnershipType must be UserOwned or OrganizationOwned, not '{ownership}'.")
    collection_name = label_text(payload.get("DisplayCollectionName"))
    tracked = payload.get("ChangeTrackingEnabled")
    return {
        **({"collection_display_name": collection_name} if collection_name else {}),
        **({"change_tracking": tracked} if isinstance(tracked, bool) else {}),
        "logical_name": logical_name,
        "schema_name": schema_name,
        "entity_set_name": str(payload.get("EntitySetName") or plural(logical_name)).lower(),
        "display_name": label_text(payload.get("DisplayName")) or schema_name,
        "ownership": ownership,
        "is_custom": True,
        "primary_name": _primary_name(bodies),
        "columns": columns,
    }


def _primary_name(bodies: list[Payload]) -> str:
    named = [str(body["SchemaName"]).lower() for body in bodies if body.get("IsPrimaryName")]
    if len(named) != 1:
        raise BadRequest("A table needs exactly one String attribute with IsPrimaryName true.")
    return named[0]


def column_description(payload: Any) -> tuple[str, Description]:
    """The logical name and the description of a column, from AttributeMetadata. Raises BadRequest."""
    payload = _object(payload, "The definition of a column")
    schema_name = _schema_name(payload)
    body = {"type": _attribute_type(payload).value, "schema_name": schema_name, "is_custom": True}
    return schema_name.lower(), body | column_changes(payload)


def column_changes(payload: Payload) -> Description:
    """The description of a column without its name, from AttributeMetadata. Raises BadRequest."""
    kind = _attribute_type(payload)
    return {"type": kind.value, **dict(_common(payload)), **dict(_typed(kind, payload))}


def _common(payload: Payload) -> Iterator[tuple[str, Any]]:
    text = label_text(payload.get("DisplayName"))
    if text:
        yield "display_name", text
    level = _plain(payload.get("RequiredLevel"))
    if level is not None:
        yield "required", level in ("ApplicationRequired", "SystemRequired")
    for name, key in _NUMBERS.items():
        if payload.get(name) is not None:
            yield key, _number(name, payload[name])


def _typed(kind: AttributeType, payload: Payload) -> Iterator[tuple[str, Any]]:
    shape = _plain(payload.get("FormatName")) or payload.get("Format")
    if kind is AttributeType.DATE_TIME:
        yield from _date_format(payload, shape)
    elif kind is AttributeType.STRING:
        yield from _text_format(payload, shape)
    elif kind in _CHOICES:
        yield from _choice(payload)
    elif kind is AttributeType.BOOLEAN:
        yield from _boolean(payload)
    elif kind is AttributeType.FILE:
        yield from _file(payload)
    default = payload.get("DefaultFormValue")
    if isinstance(default, int) and default >= 0:
        yield "default", default


def _date_format(payload: Payload, shape: Any) -> Iterator[tuple[str, Any]]:
    """The format says how a time is shown; only the behavior makes the column hold dates.

    Source: https://learn.microsoft.com/power-apps/developer/data-platform/behavior-format-date-time-attribute
    """
    behavior = _plain(payload.get("DateTimeBehavior"))
    if behavior is not None and behavior not in _BEHAVIORS:
        raise BadRequest(f"DateTimeBehavior must be {', '.join(_BEHAVIORS)}, not '{behavior}'.")
    if behavior == "DateOnly" and shape == "DateAndTime":
        raise BadRequest("The Format of a column whose DateTimeBehavior is DateOnly cannot be DateAndTime.")
    if behavior is not None:
        yield "date_only", behavior == "DateOnly"
    if shape in ("DateOnly", "DateAndTime"):
        yield "format", shape


def _text_format(payload: Payload, shape: Any) -> Iterator[tuple[str, Any]]:
    if shape in _FORMATS:
        yield "format", shape
    if "AutoNumberFormat" not in payload:
        return
    text = payload["AutoNumberFormat"] or None
    if text is not None and (shape in _FORMATS or not isinstance(text, str)):
        raise BadRequest("AutoNumberFormat must be text such as WID-{SEQNUM:5}, on a column whose format is Text.")
    yield "auto_number_format", text


def _file(payload: Payload) -> Iterator[tuple[str, Any]]:
    size = payload.get("MaxSizeInKB")
    if size is None:
        return
    if not 0 < _number("MaxSizeInKB", size) <= _MAX_SIZE_IN_KB:
        raise BadRequest(f"MaxSizeInKB is {size}; it must be from 1 to {_MAX_SIZE_IN_KB}.")
    yield "max_size_in_kb", int(size)


def _choice(payload: Payload) -> Iterator[tuple[str, Any]]:
    """The column's own options, or the global choice it uses, by name or id."""
    bound = payload.get("GlobalOptionSet@odata.bind")
    option_set = payload.get("OptionSet")
    if isinstance(bound, str):
        match = _BOUND.search(bound)
        if match is None:
            raise BadRequest(f"'{bound}' is no global choice: use /GlobalOptionSetDefinitions(<id>) or (Name='...').")
        yield "option_set", match[1] or match[2]
    elif isinstance(option_set, Mapping) and option_set.get("IsGlobal") and "Options" not in option_set:
        yield "option_set", _text(option_set, "Name")
    elif payload.get("GlobalOptionSet") is None:
        yield "options", _options(_object(option_set, "OptionSet"))


def option_set_description(payload: Any) -> tuple[str, Description]:
    """The name and the description of a global choice, from OptionSetMetadata. Raises BadRequest."""
    payload = _object(payload, "The definition of a choice")
    name = _text(payload, "Name")
    if not _SCHEMA_NAME.match(name):
        raise BadRequest(f"Name '{name}' must begin with a publisher's prefix, such as new_, and hold A-Z, 0-9, _.")
    return name, {"display_name": label_text(payload.get("DisplayName")) or name, "options": _options(payload)}


def option_set_changes(payload: Payload) -> Description:
    """The changes of a global choice, from OptionSetMetadata; options are changed by actions. Raises BadRequest."""
    text = label_text(payload.get("DisplayName"))
    return {"display_name": text} if text else {}


def table_changes(payload: Payload) -> Description:
    """The changes of an existing table, from EntityMetadata. Raises BadRequest."""
    changes: Description = {}
    for name, key in (("DisplayName", "display_name"), ("DisplayCollectionName", "collection_display_name")):
        text = label_text(payload.get(name))
        if text:
            changes[key] = text
    tracked = payload.get("ChangeTrackingEnabled")
    if isinstance(tracked, bool):
        changes["change_tracking"] = tracked
    return changes


def relationship_changes(payload: Payload) -> Description:
    """The changes of an existing relationship, from OneToManyRelationshipMetadata. Raises BadRequest."""
    changes: Description = dict(_cascades(payload))
    if isinstance(payload.get("IsHierarchical"), bool):
        changes["hierarchical"] = payload["IsHierarchical"]
    return changes


def _cascades(payload: Payload) -> Iterator[tuple[str, str]]:
    configuration = payload.get("CascadeConfiguration")
    if not isinstance(configuration, Mapping):
        return
    for name, (key, values) in _CASCADES.items():
        cascade = configuration.get(name)
        if cascade not in (None, *values):
            raise BadRequest(f"CascadeConfiguration.{name} cannot be '{cascade}'.")
        if cascade is not None:
            yield key, cascade


def _boolean(payload: Payload) -> Iterator[tuple[str, Any]]:
    option_set = payload.get("OptionSet")
    if isinstance(option_set, Mapping):
        names = {0: "FalseOption", 1: "TrueOption"}
        yield "options", {value: _option_label(option_set.get(name)) for value, name in names.items()}
    yield "default", bool(payload.get("DefaultValue"))


def _options(option_set: Payload) -> dict[int, str]:
    options = {}
    for number, option in enumerate(_list(option_set, "Options")):
        value = _object(option, "An option").get("Value")
        options[FIRST_OPTION + number if value is None else _number("Value", value)] = _option_label(option)
    return options


def _option_label(option: Any) -> str:
    return label_text(_object(option, "An option").get("Label")) or ""


def _attribute_type(payload: Payload) -> AttributeType:
    match = _ATTRIBUTE_CLASS.match(str(payload.get("@odata.type")))
    try:
        kind = AttributeType(match[1] if match else "")
    except ValueError:
        raise BadRequest(f"'{payload.get('@odata.type')}' is not a type of attribute that can be created.") from None
    if kind not in _CREATABLE:
        raise BadRequest(f"An attribute of type {kind.value} cannot be created on its own.")
    return kind


def key_description(payload: Any) -> tuple[str, Description]:
    """The logical name and the description of an alternate key. Raises BadRequest."""
    payload = _object(payload, "The definition of a key")
    schema_name = _schema_name(payload)
    columns = [str(name) for name in _list(payload, "KeyAttributes")]
    if not columns:
        raise BadRequest("A key needs KeyAttributes.")
    return schema_name.lower(), {"schema_name": schema_name, "columns": columns}


def lookup_description(payload: Payload) -> tuple[str, str, Description]:
    """The table, name and description of the lookup that a one-to-many relationship creates. Raises BadRequest."""
    lookup = _object(payload.get("Lookup"), "Lookup")
    schema_name, relationship = _schema_name(lookup), _schema_name(payload)
    body = {
        **dict(_common(lookup)),
        "type": AttributeType.LOOKUP.value,
        "schema_name": schema_name,
        "is_custom": True,
        "targets": [_text(payload, "ReferencedEntity").lower()],
        "relationship": relationship,
        **dict(_cascades(payload)),
        "hierarchical": payload.get("IsHierarchical") is True,
    }
    return _text(payload, "ReferencingEntity").lower(), schema_name.lower(), body


def customer_description(payload: Payload) -> tuple[str, str, Description]:
    """The table, name and description of a customer column, from its two relationships. Raises BadRequest."""
    relationships = [_object(each, "A relationship") for each in _list(payload, "OneToManyRelationships")]
    targets = [_text(each, "ReferencedEntity").lower() for each in relationships]
    tables = {_text(each, "ReferencingEntity").lower() for each in relationships}
    if sorted(targets) != ["account", "contact"] or len(tables) != 1:
        raise BadRequest("A customer column needs two relationships from one table, to account and to contact.")
    lookup = _object(payload.get("Lookup"), "Lookup")
    schema_name = _schema_name(lookup)
    body = {
        **dict(_common(lookup)),
        "type": AttributeType.CUSTOMER.value,
        "schema_name": schema_name,
        "is_custom": True,
        "targets": targets,
    }
    return tables.pop(), schema_name.lower(), body


def many_to_many_description(payload: Payload) -> tuple[str, str, Description]:
    """The first table, the schema name and the description of a many-to-many relationship. Raises BadRequest."""
    schema_name = _schema_name(payload)
    intersect = str(payload.get("IntersectEntityName") or schema_name).lower()
    if not _SCHEMA_NAME.match(intersect):
        raise BadRequest(f"IntersectEntityName '{intersect}' needs a publisher's prefix, such as new_{intersect}.")
    body = {
        "with": _text(payload, "Entity2LogicalName").lower(),
        "intersect": intersect,
        "entity_set_name": f"{intersect}set",
        "is_custom": True,
    }
    return _text(payload, "Entity1LogicalName").lower(), schema_name, body


def _schema_name(payload: Payload) -> str:
    name = _text(payload, "SchemaName")
    if not _SCHEMA_NAME.match(name):
        raise BadRequest(
            f"SchemaName '{name}' must begin with a publisher's prefix, such as new_, and hold A-Z, 0-9, _."
        )
    return name


def label_text(label: Any) -> str | None:
    """The text of a Label: in the user's language, or its first one."""
    if not isinstance(label, Mapping):
        return None
    localized = label.get("UserLocalizedLabel") or next(iter(_list(label, "LocalizedLabels")), None)
    text = localized.get("Label") if isinstance(localized, Mapping) else None
    return text if isinstance(text, str) else None


def _plain(value: Any) -> Any:
    return value.get("Value") if isinstance(value, Mapping) else value


def _number(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"{name} must be a number, not '{value}'.")
    return value


def _text(payload: Payload, name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"The definition needs {name}.")
    return value


def _list(payload: Payload, name: str) -> list[Any]:
    value = payload.get(name) or []
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list.")
    return value


def _object(value: Any, what: str) -> Payload:
    if not isinstance(value, Mapping):
        raise BadRequest(f"{what} must be a JSON object.")
    return value
