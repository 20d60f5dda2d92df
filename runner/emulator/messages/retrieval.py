"""What Retrieve and RetrieveMultiple ask, and the rows that answer it.

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
from runner.emulator.query.fetchxml import fetched_entity, read_fetch
from runner.emulator.query.fetchxml_conditions import Viewpoint
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
    from_query_expression,
)
from runner.emulator.rows.associations import Linked, association

Question: TypeAlias = QueryExpression | FetchExpression | Query

#: The alias of the table that relates two rows. No table is called so: names hold no capitals.
_THROUGH = "Through"


def question_of(parameter: str, value: Any) -> Question:
    """Raises InvalidArgument: the parameter holds no question."""
    if not isinstance(value, QueryExpression | FetchExpression | Query):
        given = type(value).__name__
        raise InvalidArgument(f"Parameter {parameter!r} is {given}; it takes a QueryExpression or FetchExpression.")
    if isinstance(value, FetchExpression) and not isinstance(value.query, str):
        raise InvalidArgument(f"Parameter {parameter!r}: a FetchExpression holds FetchXML, not {value.query!r}.")
    return value


def asked_table(question: Question) -> str:
    return fetched_entity(question.query) if isinstance(question, FetchExpression) else question.entity_name


def columns_of(parameters: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The ColumnSet; None is every column. Raises InvalidArgument when it holds no names."""
    columns = parameters.get("ColumnSet")
    if columns is None:
        return None
    names = (columns,) if isinstance(columns, str) else columns
    if not isinstance(names, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in names):
        raise InvalidArgument("Parameter 'ColumnSet' takes the names of columns, or None for every column.")
    return tuple(names)


def found(engine: Environment, call: Call, question: Question, only: Filter | None = None) -> EntityCollection:
    """The rows asked for, of those ``only`` lets through; their cookie is of the language they were asked for in."""
    query = _read(engine, call, question)
    if only is not None:
        query = replace(query, where=only if query.where is None else And((query.where, only)))
    rows = engine.records.retrieve_multiple(query)
    if rows.paging_cookie is not None and isinstance(question, FetchExpression):
        rows.paging_cookie = write_fetch_cookie(rows.paging_cookie, primary_id(engine, query.entity_name))
    return rows


def _read(engine: Environment, call: Call, question: Question) -> Query:
    if isinstance(question, QueryExpression):
        return from_query_expression(question)
    if isinstance(question, FetchExpression):
        viewpoint = Viewpoint(engine.clock.now(), call.user_id, call.caller.business_unit_id)
        return read_fetch(question.query, engine.store.metadata, viewpoint)
    return question


def related_rows(
    engine: Environment, call: Call, reference: EntityReference, queries: Any
) -> dict[str, EntityCollection]:
    """The rows related to one, by the schema name of the relationship: those each query of ``queries`` asks for.

    Raises:
      InvalidArgument: (one of its kinds) a query is none, or no such relationship leads to the table it asks.
    """
    if not isinstance(queries, Mapping):
        raise InvalidArgument("Parameter 'RelatedEntitiesQuery' takes a query for each relationship, by schema name.")
    questions = {relationship: question_of("RelatedEntitiesQuery", each) for relationship, each in queries.items()}
    return {
        relationship: found(engine, call, question, _related(engine, reference, relationship, question))
        for relationship, question in questions.items()
    }


def _related(engine: Environment, reference: EntityReference, relationship: str, question: Question) -> Filter:
    """What holds for the rows of the asked table that the relationship relates to that row."""
    asked = EntityReference(asked_table(question))
    link = association(engine.store.metadata, relationship, reference, asked)
    asked_id = primary_id(engine, asked.logical_name)
    if isinstance(link, Linked):
        near, far = _columns_of(link, reference)
        return _through(link.table, far, asked_id, near, reference)
    (column,) = link.attributes
    if _refers_to(link, reference):
        return Condition(ColumnRef(column), Operator.EQUAL, (reference.id,))
    return _through(reference.logical_name, column, asked_id, primary_id(engine, reference.logical_name), reference)


def _refers_to(link: Entity, reference: EntityReference) -> bool:
    """Whether it is the asked row that refers to the given one, not the other way round."""
    return any(value is reference for value in link.attributes.values())


def _columns_of(link: Linked, reference: EntityReference) -> tuple[str, str]:
    """The intersect's column of the given row, and that of the asked one."""
    near = next(column for column, id in link.ends.items() if id == reference.id)
    return near, next(column for column in link.ends if column != near)


def _through(table: str, far: str, asked_id: str, near: str, reference: EntityReference) -> Filter:
    """A row of ``table`` has the asked row's id in ``far``, and the given row's in ``near``."""
    given = Condition(ColumnRef(near, _THROUGH), Operator.EQUAL, (reference.id,))
    return Exists(Link(table, far, asked_id, _THROUGH, where=given))
