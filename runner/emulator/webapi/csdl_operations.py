"""Writes functions and actions in CSDL, with the types that only they use.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-functions
Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/web-api-actions
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from xml.sax.saxutils import quoteattr

from runner.emulator.webapi.signatures import Signature

_Types: TypeAlias = "Mapping[str, str]"


@dataclass(frozen=True, slots=True)
class Operation:
    """A function or an action, with its signature."""

    name: str
    signature: Signature
    is_function: bool

    @property
    def element(self) -> str:
        return "Function" if self.is_function else "Action"


#: The types that operations use, and what clients read of them here.
_COMPLEX_TYPES: Mapping[str, _Types] = {
    "LocalizedLabel": {
        "Label": "Edm.String?",
        "LanguageCode": "Edm.Int32",
        "IsManaged": "Edm.Boolean?",
        "MetadataId": "Edm.Guid?",
        "HasChanged": "Edm.Boolean?",
    },
    "Label": {
        "LocalizedLabels": "Collection(mscrm.LocalizedLabel)",
        "UserLocalizedLabel": "mscrm.LocalizedLabel?",
    },
    "EntityRecordCountCollection": {
        "Count": "Edm.Int32",
        "IsReadOnly": "Edm.Boolean",
        "Keys": "Collection(Edm.String)",
        "Values": "Collection(Edm.Int64)",
    },
    "EndpointCollection": {
        "Count": "Edm.Int32",
        "IsReadOnly": "Edm.Boolean",
        "Keys": "Collection(mscrm.EndpointType)",
        "Values": "Collection(Edm.String)",
    },
    "OrganizationDetail": {
        "OrganizationId": "Edm.Guid",
        "FriendlyName": "Edm.String?",
        "OrganizationVersion": "Edm.String?",
        "UniqueName": "Edm.String?",
        "UrlName": "Edm.String?",
        "Endpoints": "mscrm.EndpointCollection?",
        "State": "mscrm.OrganizationState",
    },
}
#: Types whose many properties are those of the definitions, and not listed.
_OPEN_TYPES = (
    "ComplexEntityMetadata",
    "ComplexLookupAttributeMetadata",
    "ComplexOneToManyRelationshipMetadata",
    "DeletedMetadataCollection",
    "EntityQueryExpression",
    "QueryExpression",
)
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/enumtypes
_ENUMERATIONS: Mapping[str, Mapping[str, int]] = {
    "EndpointAccessType": {"Default": 0, "Internet": 1, "Intranet": 2},
    "EndpointType": {"OrganizationService": 0, "OrganizationDataService": 1, "WebApplication": 2},
    "EntityFilters": {"Default": 1, "Entity": 1, "Attributes": 2, "Privileges": 4, "Relationships": 8, "All": 15},
    "OrganizationState": {"Enabled": 0, "Disabled": 1},
}
_FLAGS = frozenset({"EntityFilters"})


def common_types() -> Iterator[str]:
    """The types that operations share."""
    for name, properties in _COMPLEX_TYPES.items():
        yield from _complex_type(name, properties)
    for name in _OPEN_TYPES:
        yield f'<ComplexType Name="{name}" OpenType="true" />\n'
    for name, members in _ENUMERATIONS.items():
        yield f'<EnumType Name="{name}"{_IS_FLAGS if name in _FLAGS else ""}>\n'
        yield from (f'<Member Name="{member}" Value="{value}" />\n' for member, value in members.items())
        yield "</EnumType>\n"


_IS_FLAGS = ' IsFlags="true"'


def operation(definition: Operation) -> Iterator[str]:
    """The function or action, directly below the type of its response."""
    name, signature, element = definition.name, definition.signature, definition.element
    if signature.results:
        yield from _complex_type(f"{name}Response", signature.results)
    is_bound = ' IsBound="true"' if signature.bound_to else ""
    yield f"<{element} Name={quoteattr(name)}{is_bound}>\n"
    if signature.bound_to:
        binding = "entityset" if signature.bound_to.startswith("Collection(") else "entity"
        yield _typed("Parameter", binding, signature.bound_to)
    for parameter, kind in signature.parameters.items():
        yield _typed("Parameter", parameter, kind)
    if signature.results:
        yield f'<ReturnType Type="mscrm.{name}Response" Nullable="false" />\n'
    yield f"</{element}>\n"


def operation_import(definition: Operation) -> Iterator[str]:
    """What makes an unbound operation part of the service."""
    if not definition.signature.bound_to:
        element, name = definition.element, definition.name
        yield f'<{element}Import Name={quoteattr(name)} {element}="Microsoft.Dynamics.CRM.{name}" />\n'


def _complex_type(name: str, properties: _Types) -> Iterator[str]:
    yield f"<ComplexType Name={quoteattr(name)}>\n"
    for each, kind in properties.items():
        # The value of a structural property cannot be an entity.
        yield _typed("NavigationProperty" if "mscrm.crmbaseentity" in kind else "Property", each, kind)
    yield "</ComplexType>\n"


def _typed(element: str, name: str, kind: str) -> str:
    edm_type = kind.rstrip("?")
    nullable = "" if kind.endswith("?") else ' Nullable="false"'
    # CSDL has no facet for collections of entities, which are never null.
    if element == "NavigationProperty" and edm_type.startswith("Collection("):
        nullable = ""
    unicode = ' Unicode="false"' if "Edm.String" in edm_type else ""
    return f'<{element} Name={quoteattr(name)} Type="{edm_type}"{nullable}{unicode} />\n'
