"""Dataverse's value types, under the names its SDK gives them.

Values are immutable; only :class:`Entity` and :class:`EntityCollection` can be changed. A column value is one
of ``None``, ``str`` (text, and ids as lower-case GUIDs), ``int``, ``bool``, ``Decimal``, ``datetime`` (aware,
UTC), ``date``, :class:`Money`, :class:`OptionSetValue`, a tuple of :class:`OptionSetValue`,
:class:`EntityReference`, :class:`AliasedValue` or :class:`EntityCollection`.

Source: https://learn.microsoft.com/dotnet/api/microsoft.xrm.sdk
"""

from dataverse_client.types.entity import Entity, EntityCollection, Value
from dataverse_client.types.guids import EMPTY_GUID, guid, is_guid, new_guid
from dataverse_client.types.query import (
    ConditionExpression,
    ConditionOperator,
    FetchExpression,
    FilterExpression,
    JoinOperator,
    LinkEntity,
    LogicalOperator,
    OrderExpression,
    OrderType,
    PagingInfo,
    QueryExpression,
)
from dataverse_client.types.service import OrganizationRequest, OrganizationResponse, OrganizationService
from dataverse_client.types.values import AliasedValue, EntityReference, Money, OptionSetValue

__all__ = [
    "EMPTY_GUID",
    "AliasedValue",
    "ConditionExpression",
    "ConditionOperator",
    "Entity",
    "EntityCollection",
    "EntityReference",
    "FetchExpression",
    "FilterExpression",
    "JoinOperator",
    "LinkEntity",
    "LogicalOperator",
    "Money",
    "OptionSetValue",
    "OrderExpression",
    "OrderType",
    "OrganizationRequest",
    "OrganizationResponse",
    "OrganizationService",
    "PagingInfo",
    "QueryExpression",
    "Value",
    "guid",
    "is_guid",
    "new_guid",
]
