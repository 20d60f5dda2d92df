"""Reads the elements and attributes of FetchXML, and reports those that are unknown.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/fetchxml/reference/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from runner.emulator.errors import InvalidArgument

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: Error codes of Dataverse's query builder.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
BAD_CONDITION: Final = 0x80041106
ATTRIBUTE_WITH_AGGREGATE: Final = 0x80041107
INVALID_VALUE: Final = 0x80041108
INVALID_ALIAS: Final = 0x80041109
ALIAS_DOES_NOT_EXIST: Final = 0x8004110A
NO_ALIAS: Final = 0x8004110B
INVALID_LINK_TYPE: Final = 0x80041117
INVALID_AGGREGATE: Final = 0x8004111A
INVALID_NODE: Final = 0x8004111C
INVALID_OPERATOR: Final = 0x80041120
INVALID_FILTER_TYPE: Final = 0x80041122
ELEMENT_NOT_FOUND: Final = 0x80041123
EMPTY_XML: Final = 0x80041124
LINK_FOR_ORDER_NOT_FOUND: Final = 0x80041126

#: Deeper than real queries, and shallow enough for Python's stack.
MAX_DEPTH = 40

_ALIAS = re.compile(r"[A-Za-z_]\w*")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_CHILDREN = {
    "fetch": ("entity",),
    "entity": ("attribute", "all-attributes", "no-attrs", "order", "filter", "link-entity"),
    "link-entity": ("attribute", "all-attributes", "no-attrs", "order", "filter", "link-entity"),
    "filter": ("condition", "filter", "link-entity"),
    "condition": ("value",),
}


def refusal(code: int, message: str) -> InvalidArgument:
    return InvalidArgument(message, code=code)


def parse_xml(text: str, what: str) -> Element:
    """Parse XML and return its root element. Entities, external references and a DTD are refused.

    Raises:
      InvalidArgument: it is not XML, or not safe to parse.
    """
    # The import is slow, and only needed for FetchXML.
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    if not text.strip():
        raise refusal(EMPTY_XML, f"The {what} is empty.")
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except ParseError as error:
        raise InvalidArgument(f"Invalid XML: the {what} cannot be read: {error}.") from None
    except (DefusedXmlException, ValueError) as error:
        raise InvalidArgument(f"Invalid XML: the {what} may not contain this: {error}.") from None
    _check_depth(root, what)
    return root


def _check_depth(root: Element, what: str) -> None:
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidArgument(f"The {what} nests deeper than {MAX_DEPTH} levels.")
        level = [child for element in level for child in element]


def check_children(element: Element) -> None:
    """Raises InvalidArgument for the first element, at any depth, that its parent cannot have."""
    valid = _CHILDREN.get(element.tag, ())
    for child in element:
        if child.tag not in valid:
            nodes = ", ".join(valid) or "none"
            raise refusal(INVALID_NODE, f"Invalid Child Node, valid nodes are {nodes}. NodeName = {child.tag}")
        check_children(child)


def required(element: Element, name: str) -> str:
    """The attribute's value. Raises InvalidArgument when it is missing or empty."""
    value = element.get(name)
    if not value:
        named = f" '{element.get('name')}'" if name != "name" and element.get("name") else ""
        raise refusal(ELEMENT_NOT_FOUND, f"The {element.tag} element{named} needs the attribute '{name}'.")
    return value


def alias_of(element: Element) -> str:
    """The element's alias, empty when it has none. Raises InvalidArgument when it is not a valid name."""
    return check_alias(element.get("alias", ""))


def check_alias(alias: str) -> str:
    """The alias itself. Raises InvalidArgument when it is not empty, and not a valid name."""
    if alias and not _ALIAS.fullmatch(alias):
        raise refusal(INVALID_ALIAS, f"'{alias}' is not a valid alias: use letters, digits and _, and no digit first.")
    return alias


def flag(element: Element, name: str) -> bool:
    """The value of a boolean attribute; False when it is missing. Raises InvalidArgument."""
    text = element.get(name, "false").lower()
    if text not in _TRUTHS:
        raise refusal(INVALID_VALUE, f"'{name}' of {element.tag} must be true or false, not '{element.get(name)}'.")
    return _TRUTHS[text]


def number(element: Element, name: str) -> int | None:
    """The value of an attribute that must be a whole number above 0; None when missing. Raises InvalidArgument."""
    text = element.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) == 0:
        raise refusal(INVALID_VALUE, f"'{name}' of {element.tag} must be a whole number above 0, not '{text}'.")
    return int(text)


def choice(element: Element, name: str, default: str, accepted: frozenset[str], code: int) -> str:
    """The value of an attribute that must be one of ``accepted``. Raises InvalidArgument."""
    word = element.get(name, default)
    if word not in accepted:
        raise refusal(code, f"'{name}' of {element.tag} must be one of {', '.join(sorted(accepted))}, not '{word}'.")
    return word
