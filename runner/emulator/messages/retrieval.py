"""Reads the queries of Retrieve and RetrieveMultiple, and runs them.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/org-service/entity-operations-retrieve
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from dataverse_client.types import Entity, EntityCollection, EntityReference, FetchExpression, QueryExpression
from runner.emulator.call import Call
from runner.emulator.errors import InvalidArgument
from runner.emulator.messages.environment import Environment
from runner.emulator.messages.targets import primary_id
from runner.emulator.query.expression_reading import from_query_expression
from runner.emulator.query.fetchxml import fetched_entity, read_fetch
from runner.emulator.query.fetchxml_paging import write_fetch_cookie
from runner.emulator.query.model import (
    And,
    ColumnRef,
    Condition,
    Exists,
    Filter,
    Link,
    Operator,
    Query,
)
from runner.emulator.query.viewpoint import Viewpoint
from runner.emulator.rows.associations import Linked, association

Question: TypeAlias = QueryExpression | FetchExpression | Query

#: The alias of an intersect table. No table has that name, as names have no capitals.
_THROUGH = "Through"


def question_of(parameter: str, value: Any) -> Question:
    """The query in a parameter. Raises InvalidArgument when its value is not a query."""
    if not isinstance(value, QueryExpression | FetchExpression | Query):
        given = type(value).__name__
        raise InvalidArgument(f"Parameter {parameter!r} is {given}; it takes a QueryExpression or FetchExpression.")
    if isinstance(value, FetchExpression) and not isinstance(value.query, str):
        raise InvalidArgument(f"Parameter {parameter!r}: a FetchExpression holds FetchXML, not {value.query!r}.")
    return value


def queried_table(question: Question) -> str:
    return fetched_entity(question.query) if isinstance(question, FetchExpression) else question.entity_name


def columns_of(parameters: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The ColumnSet; None means every column. Raises InvalidArgument when it does not contain names."""
    columns = parameters.get("ColumnSet")
    if columns is None:
        return None
    names = (columns,) if isinstance(columns, str) else columns
    if not isinstance(names, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument("Parameter 'ColumnSet' takes the names of columns, or None for every column.")
    return tuple(names)


def found(engine: Environment, call: Call, question: Question, only: Filter | None = None) -> EntityCollection:
    """Run a query, limited to the rows that match ``only``. Its paging cookie is in the language of the query."""
    query = as_query(engine, call, question)
    if only is not None:
        query = replace(query, where=only if query.where is None else And((query.where, only)))
    rows = engine.records.retrieve_multiple(query)
    if rows.paging_cookie is not None and isinstance(question, FetchExpression):
        rows.paging_cookie = write_fetch_cookie(rows.paging_cookie, primary_id(engine, query.entity_name))
    return rows


def as_query(engine: Environment, call: Call, question: Question) -> Query:
    """The question in the query model. Raises InvalidArgument (one of its kinds) when it is malformed."""

    def viewpoint() -> Viewpoint:
        return Viewpoint(engine.clock.now(), call.user_id, call.caller.business_unit_id)

    if isinstance(question, QueryExpression):
        return from_query_expression(question, engine.store.metadata, viewpoint)
    if isinstance(question, FetchExpression):
        return read_fetch(question.query, engine.store.metadata, viewpoint())
    return question


def related_rows(
    engine: Environment, call: Call, reference: EntityReference, queries: Any
) -> dict[str, EntityCollection]:
    """The rows related to a row, by the relationship's schema name, limited to those that match its query.

    Raises:
      InvalidArgument: (one of its kinds) a query is not valid, or the relationship does not lead to its table.
    """
    if not isinstance(queries, Mapping):
        raise InvalidArgument(
            "Parameter 'RelatedEntitiesQuery' must hold a query for each relationship, by schema name."
        )
    questions = {relationship: question_of("RelatedEntitiesQuery", each) for relationship, each in queries.items()}
    return {
        relationship: found(engine, call, question, _related(engine, reference, relationship, question))
        for relationship, question in questions.items()
    }


def _related(engine: Environment, reference: EntityReference, relationship: str, question: Question) -> Filter:
    """The filter for the rows of the queried table that are related to that row."""
    asked = EntityReference(queried_table(question))
    link = association(engine.store.metadata, relationship, reference, asked)
    queried_id = primary_id(engine, asked.logical_name)
    if isinstance(link, Linked):
        near, far = _columns_of(link, reference)
        return _through(link.table, far, queried_id, near, reference)
    (column,) = link.attributes
    if _refers_to(link, reference):
        return Condition(ColumnRef(column), Operator.EQUAL, (reference.id,))
    return _through(reference.logical_name, column, queried_id, primary_id(engine, reference.logical_name), reference)


def _refers_to(link: Entity, reference: EntityReference) -> bool:
    """Whether the lookup is in the queried row, and not in ``reference``."""
    return any(value is reference for value in link.attributes.values())


def _columns_of(link: Linked, reference: EntityReference) -> tuple[str, str]:
    """The intersect table's column for ``reference``, and that for the queried row."""
    near = next(column for column, id in link.ends.items() if id == reference.id)
    return near, next(column for column in link.ends if column != near)


def _through(table: str, far: str, queried_id: str, near: str, reference: EntityReference) -> Filter:
    """True when a row of ``table`` has the queried row's id in ``far``, and the id of ``reference`` in ``near``."""
    given = Condition(ColumnRef(near, _THROUGH), Operator.EQUAL, (reference.id,))
    return Exists(Link(table, far, queried_id, _THROUGH, where=given))
