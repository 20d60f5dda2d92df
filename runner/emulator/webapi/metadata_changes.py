"""The function ``RetrieveMetadataChanges``: definitions that match an EntityQueryExpression, in one request.

Changes of definitions are not recorded: every response contains all that match, and a version stamp.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/retrievemetadatachanges
Source: https://learn.microsoft.com/power-apps/developer/data-platform/query-schema-definitions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runner.emulator.metadata.definition_documents import table_document
from runner.emulator.metadata.document import Document
from runner.emulator.metadata.model import Metadata
from runner.emulator.query.odata_syntax import tokens
from runner.emulator.webapi.faults import BadRequest

#: The properties of a table that have a query of their own.
_PARTS = {
    "Attributes": "AttributeQuery",
    "Keys": "KeyQuery",
    "ManyToOneRelationships": "RelationshipQuery",
    "OneToManyRelationships": "RelationshipQuery",
    "ManyToManyRelationships": "RelationshipQuery",
}
_CONDITIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda held, expected: _written(held) == _written(expected),
    "NotEquals": lambda held, expected: _written(held) != _written(expected),
    "In": lambda held, expected: _written(held) in _listed(expected),
    "NotIn": lambda held, expected: _written(held) not in _listed(expected),
}


def _written(value: Any) -> str:
    """A value in the text form that an Object has: ``{"Type":"System.Boolean","Value":"true"}``."""
    return str(value).lower()


def _listed(expected: Any) -> list[str]:
    """The values of a condition, which are a list or the text of one."""
    if isinstance(expected, str) and expected.strip().startswith("["):
        expected = next(tokens(expected)).value
    return [_written(each) for each in expected] if isinstance(expected, list) else []


def retrieve_metadata_changes(metadata: Metadata, query: Any) -> dict[str, Any]:
    """The results of ``RetrieveMetadataChanges(Query=...)``.

    Raises:
      BadRequest: the query is malformed.
    """
    query = _object(query or {}, "Query")
    documents = [table_document(metadata, table) for table in metadata.tables.values()]
    return {
        "EntityMetadata": [_table(document, query) for document in documents if _holds(query, document)],
        "ServerVersionStamp": f"{len(metadata.tables)}!{len(metadata.one_to_many)}",
        "DeletedMetadata": None,
    }


def _table(document: Document, query: Mapping[str, Any]) -> dict[str, Any]:
    names = _property_names(query)
    body = _project(document, names)
    for part, query_name in _PARTS.items():
        if names is None or part in names:
            found = document.navigation[part]()
            body[part] = _part(found, _object(query.get(query_name) or {}, query_name))
    return body


def _part(documents: Any, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = _property_names(query)
    return [_attribute(document, names) for document in documents if _holds(query, document)]


def _attribute(document: Document, names: Sequence[str] | None) -> dict[str, Any]:
    body = _project(document, names)
    if "OptionSet" in document.navigation and (names is None or "OptionSet" in names):
        option_set = document.navigation["OptionSet"]()
        body["OptionSet"] = dict(option_set.values) if isinstance(option_set, Document) else None
    return body


def _project(document: Document, names: Sequence[str] | None) -> dict[str, Any]:
    if names is None:
        return dict(document.values)
    included = {"@odata.type", "MetadataId", "LogicalName", *names}
    return {name: value for name, value in document.values.items() if name in included}


def _property_names(query: Mapping[str, Any]) -> Sequence[str] | None:
    """The properties that a query asks for; None means all."""
    properties = _object(query.get("Properties") or {}, "Properties")
    names = properties.get("PropertyNames")
    if properties.get("AllProperties") or not names:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest("PropertyNames must be a list of names.")
    return names


def _holds(query: Mapping[str, Any], document: Document) -> bool:
    return _criteria_hold(_object(query.get("Criteria") or {}, "Criteria"), document)


def _criteria_hold(criteria: Mapping[str, Any], document: Document) -> bool:
    tests = [_condition_holds(_object(each, "Conditions"), document) for each in criteria.get("Conditions") or ()]
    tests += [_criteria_hold(_object(each, "Filters"), document) for each in criteria.get("Filters") or ()]
    return any(tests) if criteria.get("FilterOperator") == "Or" and tests else all(tests)


def _condition_holds(condition: Mapping[str, Any], document: Document) -> bool:
    operator, name = condition.get("ConditionOperator"), condition.get("PropertyName")
    if not isinstance(operator, str) or operator not in _CONDITIONS or not isinstance(name, str):
        raise BadRequest(f"A metadata condition needs PropertyName and one of {', '.join(_CONDITIONS)}.")
    held, expected = _plain(document.values.get(name)), _plain(condition.get("Value"))
    return _CONDITIONS[operator](held, expected)


def _plain(value: Any) -> Any:
    return value.get("Value") if isinstance(value, Mapping) else value


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRequest(f"{name} must be a JSON object.")
    return value
