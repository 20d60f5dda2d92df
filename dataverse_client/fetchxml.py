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
    LinkEntity,
    Money,
    OptionSetValue,
    OrderExpression,
    OrderType,
    PagingInfo,
    QueryExpression,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Operators whose values are elements, even if there is only one.
_SEVERAL = frozenset(
    {
        ConditionOperator.IN,
        ConditionOperator.NOT_IN,
        ConditionOperator.BETWEEN,
        ConditionOperator.NOT_BETWEEN,
        ConditionOperator.CONTAIN_VALUES,
        ConditionOperator.DOES_NOT_CONTAIN_VALUES,
    }
)


def write_fetch(query: QueryExpression) -> str:
    """The FetchXML that asks for the same rows."""
    from xml.etree.ElementTree import Element, SubElement, tostring

    fetch = Element("fetch", {"version": "1.0", "mapping": "logical", **_limits(query)})
    entity = SubElement(fetch, "entity", name=query.entity_name)
    _write_columns(entity, query.column_set)
    own = _own_name(query)
    _write_orders(entity, query.orders, own)
    for link in query.link_entities:
        _write_link(entity, link)
    _write_filter(entity, query.criteria, own)
    return tostring(fetch, encoding="unicode")


def _own_name(query: QueryExpression) -> str | None:
    """The name that means the query's own table, which FetchXML leaves out; None when a link has that name."""
    links = {link.entity_alias or link.link_to_entity_name for _, link in query.named_links()}
    return query.entity_name if query.entity_name not in links else None


def _limits(query: QueryExpression) -> dict[str, str]:
    paging = query.page_info
    limits = {"top": query.top_count} if query.top_count is not None else _paging(paging) if paging else {}
    return {name: _text(value) for name, value in {**limits, "distinct": query.distinct}.items() if value}


def _paging(paging: PagingInfo) -> dict[str, Any]:
    return {
        "count": paging.count,
        "page": paging.page_number,
        "paging-cookie": paging.paging_cookie,
        "returntotalrecordcount": paging.return_total_record_count,
    }


def _write_columns(parent: Element, columns: tuple[str, ...] | None) -> None:
    from xml.etree.ElementTree import SubElement

    if columns is None:
        SubElement(parent, "all-attributes")
    for column in columns or ():
        SubElement(parent, "attribute", name=column)


def _write_orders(parent: Element, orders: tuple[OrderExpression, ...], own: str | None = None) -> None:
    from xml.etree.ElementTree import SubElement

    for order in orders:
        descending = order.order_type is OrderType.DESCENDING
        element = SubElement(parent, "order", attribute=order.attribute_name, descending=_text(descending))
        _name_link(element, order.entity_name, own)


def _write_link(parent: Element, link: LinkEntity) -> None:
    from xml.etree.ElementTree import SubElement

    element = SubElement(parent, "link-entity", {"name": link.link_to_entity_name, "link-type": link.join_operator})
    element.set("from", link.link_to_attribute_name)
    element.set("to", link.link_from_attribute_name)
    if link.entity_alias:
        element.set("alias", link.entity_alias)
    _write_columns(element, link.columns)
    _write_orders(element, link.orders)
    for inner in link.link_entities:
        _write_link(element, inner)
    _write_filter(element, link.link_criteria)


def _write_filter(parent: Element, criteria: FilterExpression, own: str | None = None) -> None:
    from xml.etree.ElementTree import SubElement

    if criteria == FilterExpression(criteria.operator):
        return
    element = SubElement(parent, "filter", type=criteria.operator.value)
    for condition in criteria.conditions:
        _write_condition(element, condition, own)
    if criteria.any_all_filter_link_entity is not None:
        _write_link(element, criteria.any_all_filter_link_entity)
    for inner in criteria.filters:
        _write_filter(element, inner, own)


def _name_link(element: Element, entity_name: str | None, own: str | None) -> None:
    if entity_name and entity_name != own:
        element.set("entityname", entity_name)


def _write_condition(parent: Element, condition: ConditionExpression, own: str | None) -> None:
    from xml.etree.ElementTree import SubElement

    operator = condition.operator
    element = SubElement(parent, "condition", attribute=condition.attribute_name, operator=operator.value)
    _name_link(element, condition.entity_name, own)
    if condition.compare_columns:
        element.set("valueof", ",".join(map(str, condition.values)))
    elif operator in _SEVERAL or len(condition.values) > 1:
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
