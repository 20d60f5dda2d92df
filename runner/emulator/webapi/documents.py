"""Applies paths and query options to a graph of read-only documents, which is how metadata is served.

A document has values and navigation properties. A path follows these, selects by key and by type; ``$select``,
``$filter`` and ``$expand`` are applied to what it leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from dataverse_client.types import is_guid
from runner.emulator.metadata.document import Document, Found
from runner.emulator.query import odata_syntax as syntax
from runner.emulator.query.odata import QueryOptions
from runner.emulator.query.odata_syntax import ODataError
from runner.emulator.webapi.faults import ResourceNotFound
from runner.emulator.webapi.paths import Segment


def walk(start: Sequence[Document], segments: Sequence[Segment]) -> Found | Any:
    """Follow a path, whose first segment names ``start``, to a document, several, None or a plain value.

    Raises:
      ResourceNotFound: a segment does not exist.
    """
    found: Any = _pick(start, segments[0])
    for segment in segments[1:]:
        found = _step(found, segment)
    return found


def _step(found: Any, segment: Segment) -> Any:
    if segment.operation is not None:
        return _narrow(found, segment.name)
    if not isinstance(found, Document):
        raise ResourceNotFound.at(segment.name)
    if segment.name in found.navigation:
        return _pick(found.navigation[segment.name](), segment)
    if segment.name in found.values:
        return found.values[segment.name]
    raise ResourceNotFound.at(segment.name)


def _narrow(found: Any, type_name: str) -> Found:
    if isinstance(found, Document):
        if not found.is_kind(type_name):
            raise ResourceNotFound.at(type_name)
        return found
    return [document for document in found or () if document.is_kind(type_name)]


def _pick(found: Found, segment: Segment) -> Found:
    if segment.arguments is None or found is None or isinstance(found, Document):
        return found
    for document in found:
        if _has_key(document, segment.arguments):
            return document
    written = ",".join(f"{name}={value}" if name else str(value) for name, value in segment.arguments.items())
    raise ResourceNotFound(f"Could not find {segment.name}({written}).", code=0x80040217)


def _has_key(document: Document, arguments: Mapping[str, Any]) -> bool:
    pairs = {name or "MetadataId": value for name, value in arguments.items()}
    return bool(pairs) and all(
        name in document.key_names and _same(document.values.get(name), value) for name, value in pairs.items()
    )


def _same(held: object, requested: object) -> bool:
    if isinstance(held, str) and is_guid(held):
        return held == str(requested).lower()
    return held == requested


def render(document: Document, options: QueryOptions) -> dict[str, Any]:
    """The document as JSON. Raises ODataError when an option names an unknown property."""
    names = options.select
    if names is None:
        body = dict(document.values)
    else:
        always = [name for name in ("@odata.type", "MetadataId") if name in document.values]
        body = {name: document.values[name] for name in (*always, *names) if name in document.values}
        _refuse_unknown(document, names)
    for item in options.expand:
        if item.navigation_property not in document.navigation:
            raise _unknown(document, item.navigation_property)
        body[item.navigation_property] = render_found(document.navigation[item.navigation_property](), item.options)
    return body


def _refuse_unknown(document: Document, names: Sequence[str]) -> None:
    # A collection may hold documents of several types, so a property of another type is accepted.
    if document.bases:
        return
    for name in names:
        if name not in document.values:
            raise _unknown(document, name)


def _unknown(document: Document, name: str) -> ODataError:
    kind = str(document.values.get("@odata.type", "#the requested type"))[1:]
    return ODataError(f"Could not find a property named '{name}' on type '{kind}'.")


def render_found(found: Found, options: QueryOptions) -> Any:
    """One document or several as JSON, with the options applied."""
    if found is None or isinstance(found, Document):
        return None if found is None else render(found, options)
    if options.filter is not None:
        for document in found[:1]:
            _refuse_unknown(document, list(_names(options.filter)))
        found = [document for document in found if matches(options.filter, document.values)]
    for item in reversed(options.orderby):
        found = sorted(found, key=lambda d: _sort_key(_read(d.values, item.property)), reverse=item.descending)
    return [render(document, options) for document in found[: options.top]]


def _sort_key(value: Any) -> tuple[bool, str]:
    return value is not None, str(value)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {"eq": eq, "ne": ne, "gt": gt, "ge": ge, "lt": lt, "le": le}
_FUNCTIONS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


def matches(expression: syntax.Expression, values: Mapping[str, Any]) -> bool:
    """Whether the values match the filter. Raises ODataError for a filter that is not supported."""
    match expression:
        case syntax.Junction("and", operands):
            return all(matches(operand, values) for operand in operands)
        case syntax.Junction(_, operands):
            return any(matches(operand, values) for operand in operands)
        case syntax.Negation(operand):
            return not matches(operand, values)
        case syntax.Comparison(operator, left, right):
            return _compare(operator, _value(left, values), _value(right, values))
        case syntax.Call(name, (subject, part)) if name in _FUNCTIONS:
            return _FUNCTIONS[name](str(_value(subject, values) or ""), str(_value(part, values)))
        case syntax.Property():
            return _read(values, expression) is True
    raise ODataError("This filter is not supported on metadata.")


def _names(expression: syntax.Expression) -> Iterator[str]:
    """The properties that a filter uses."""
    match expression:
        case syntax.Property(path):
            yield path[0]
        case syntax.Junction(_, operands) | syntax.Call(_, operands):
            for operand in operands:
                yield from _names(operand)
        case syntax.Comparison(_, left, right):
            yield from _names(left)
            yield from _names(right)
        case syntax.Negation(operand):
            yield from _names(operand)


def _value(expression: syntax.Expression, values: Mapping[str, Any]) -> Any:
    match expression:
        case syntax.Literal(value):
            return value
        case syntax.Property():
            return _read(values, expression)
    raise ODataError("A comparison on metadata needs a property and a value.")


def _read(values: Mapping[str, Any], prop: syntax.Property) -> Any:
    found: Any = values
    for name in prop.path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _compare(operator: str, left: Any, right: Any) -> bool:
    if operator in ("eq", "ne"):
        return _COMPARISONS[operator](left, right)
    if left is None or right is None:
        return False
    try:
        return _COMPARISONS[operator](left, right)
    except TypeError:
        raise ODataError(f"{left!r} and {right!r} cannot be compared with {operator}.") from None
