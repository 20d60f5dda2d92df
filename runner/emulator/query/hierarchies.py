"""Translates conditions on hierarchies, such as ``under``, and on teams that own rows into SQL.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/query-hierarchical-data
"""

from __future__ import annotations

from dataverse_client.types import guid
from runner.emulator.errors import InvalidArgument
from runner.emulator.metadata.model import Column, OneToManyRelationship, Table
from runner.emulator.query.model import Lineage, TeamOwned
from runner.emulator.query.scope import Scope

#: Dataverse's error code for an operator that does not fit its column.
_INVALID_OPERATOR = 0x80041120


def lineage(scope: Scope, condition: Lineage) -> str:
    """The SQL of a condition on ancestors or descendants.

    Raises:
      InvalidArgument: the table has no hierarchy, or the value is not an id.
    """
    table, column, sql = scope.column(condition.column)
    tree = _tree(scope, table, column)
    try:
        id = guid(condition.id)
    except ValueError as error:
        raise InvalidArgument(
            f"'{column.logical_name}' of '{table.logical_name}' must be compared with an id: {error}."
        ) from None
    return f"{sql} IN ({_relatives(scope, tree, id, above=condition.above, or_equal=condition.or_equal)})"


def team_owned(scope: Scope, condition: TeamOwned) -> str:
    """The SQL of "is owned by a team of the user". Raises InvalidArgument when the column is not an owner."""
    table, column, sql = scope.column(condition.column)
    if "team" not in column.targets:
        raise InvalidArgument(
            f"'{column.logical_name}' of '{table.logical_name}' cannot refer to a team.", code=_INVALID_OPERATOR
        )
    if condition.with_reports:
        users = _relatives(scope, _hierarchy(scope, "systemuser"), condition.user_id, above=False, or_equal=True)
    else:
        users = scope.bind(condition.user_id)
    return f"{sql} IN (SELECT teamid FROM teammembership WHERE systemuserid IN ({users}))"  # noqa: S608 - names of ours


def child_count(scope: Scope, table: Table, source: str) -> str:
    """The SQL of the number of direct children of a row. Raises InvalidArgument when the table has no hierarchy."""
    tree = _hierarchy(scope, table.logical_name)
    return (
        f'(SELECT COUNT(*) FROM "{tree.referencing_entity}" AS child '  # noqa: S608 - names of metadata
        f'WHERE child."{tree.referencing_attribute}" = {source})'
    )


def _tree(scope: Scope, table: Table, column: Column) -> OneToManyRelationship:
    """The hierarchy to search: of the column's own table for the primary id, of the referenced one for a lookup."""
    names = (table.logical_name,) if column.logical_name == table.primary_id_attribute else column.targets
    for name in names:
        found = scope.store.metadata.hierarchy(name)
        if found is not None:
            return found
    raise InvalidArgument(
        f"'{column.logical_name}' of '{table.logical_name}' refers to rows of no hierarchical relationship.",
        code=_INVALID_OPERATOR,
    )


def _hierarchy(scope: Scope, table: str) -> OneToManyRelationship:
    found = scope.store.metadata.hierarchy(table)
    if found is None:
        raise InvalidArgument(f"'{table}' has no hierarchical relationship.", code=_INVALID_OPERATOR)
    return found


def _relatives(scope: Scope, tree: OneToManyRelationship, id: str, *, above: bool, or_equal: bool) -> str:
    """The SQL of the ids of the row's ancestors, or descendants. UNION drops duplicates, so that a cycle ends."""
    table, child, parent = tree.referencing_entity, tree.referenced_attribute, tree.referencing_attribute
    known, wanted = (child, parent) if above else (parent, child)
    if or_equal:
        start = f"SELECT {scope.bind(id)}"
    else:
        start = f'SELECT "{wanted}" FROM "{table}" WHERE "{known}" = {scope.bind(id)}'  # noqa: S608 - as below
    return (
        f"WITH RECURSIVE relative(id) AS ({start} UNION "  # noqa: S608 - names of metadata
        f'SELECT t."{wanted}" FROM "{table}" AS t JOIN relative ON t."{known}" = relative.id) '
        "SELECT id FROM relative WHERE id IS NOT NULL"
    )
