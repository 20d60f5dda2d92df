"""Writes a QueryExpression as FetchXML.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/queryexpression/overview
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    EntityReference,
    FilterExpression,
    Money,
    OptionSetValue,
    OrderType,
    PagingInfo,
    QueryExpression,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Operators whose values are elements, even if there is only one.
_SEVERAL = frozenset({ConditionOperator.IN, ConditionOperator.NOT_IN, ConditionOperator.BETWEEN})


def write_fetch(query: QueryExpression) -> str:
    """The FetchXML that asks for the same rows."""
    from xml.etree.ElementTree import Element, SubElement, tostring

    fetch = Element("fetch", {"version": "1.0", "mapping": "logical", **_limits(query)})
    entity = SubElement(fetch, "entity", name=query.entity_name)
    if query.column_set is None:
        SubElement(entity, "all-attributes")
    for column in query.column_set or ():
        SubElement(entity, "attribute", name=column)
    for order in query.orders:
        descending = order.order_type is OrderType.DESCENDING
        SubElement(entity, "order", attribute=order.attribute_name, descending=_text(descending))
    if query.criteria.conditions or query.criteria.filters:
        _write_filter(entity, query.criteria)
    return tostring(fetch, encoding="unicode")


def _limits(query: QueryExpression) -> dict[str, str]:
    paging = query.page_info
    limits = {"top": query.top_count} if query.top_count is not None else _paging(paging) if paging else {}
    return {name: _text(value) for name, value in limits.items() if value}


def _paging(paging: PagingInfo) -> dict[str, Any]:
    return {
        "count": paging.count,
        "page": paging.page_number,
        "paging-cookie": paging.paging_cookie,
        "returntotalrecordcount": paging.return_total_record_count,
    }


def _write_filter(parent: Element, criteria: FilterExpression) -> None:
    from xml.etree.ElementTree import SubElement

    element = SubElement(parent, "filter", type=criteria.operator.value)
    for condition in criteria.conditions:
        _write_condition(element, condition)
    for inner in criteria.filters:
        _write_filter(element, inner)


def _write_condition(parent: Element, condition: ConditionExpression) -> None:
    from xml.etree.ElementTree import SubElement

    operator = condition.operator
    element = SubElement(parent, "condition", attribute=condition.attribute_name, operator=operator.value)
    if operator in _SEVERAL:
        for value in condition.values:
            SubElement(element, "value").text = _text(value)
    elif condition.values:
        element.set("value", _text(condition.values[0]))


def _text(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case OptionSetValue() | Money():
            return _text(value.value)
        case EntityReference():
            return value.id
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
