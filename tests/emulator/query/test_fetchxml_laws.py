"""FetchXML and SQL against plain Python: whatever the rows and the conditions, the same ones are found."""

from __future__ import annotations

import fnmatch
import operator
from decimal import Decimal
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azure_bridge.clock import ManualClock
from dataverse_client.types import Entity, FetchExpression, Money, OrganizationRequest
from runner.emulator.emulator import Emulator
from runner.emulator.query.sql import read_sql

TEXTS = ("ada", "Ada", "ADA LTD", "bea", "b%a", "Éva", "éva", "o'Neil", "<&>")
COMPARISONS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
SQL_SIGNS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

texts = st.sampled_from(TEXTS)
numbers = st.integers(0, 2)
amounts = st.sampled_from([Decimal("0"), Decimal("0.5"), Decimal("1.25"), Decimal("2")])
values = {"address1_city": texts, "numberofemployees": numbers, "revenue": amounts}
patterns = st.sampled_from(["a%", "%a", "_e_", "%"])


def condition(column):
    """A condition on the column: its name, an operator and as many values as that takes."""
    one = values[column]
    kinds = [
        st.tuples(st.sampled_from(["null", "not-null"]), st.just(())),
        st.tuples(st.sampled_from(["in", "not-in"]), st.lists(one, min_size=1, max_size=2)),
    ]
    if column == "address1_city":
        kinds.append(st.tuples(st.sampled_from(["eq", "ne"]), st.tuples(one)))
        kinds.append(st.tuples(st.sampled_from(["like", "not-like"]), st.tuples(patterns)))
    else:
        kinds.append(st.tuples(st.sampled_from(sorted(COMPARISONS)), st.tuples(one)))
        kinds.append(st.tuples(st.sampled_from(["between", "not-between"]), st.tuples(one, one)))
    return st.one_of(kinds).map(lambda written: (column, *written))


def junction(inner):
    return st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3))


def negation(inner):
    return st.tuples(st.just("not"), inner)


rows = st.lists(st.fixed_dictionaries({name: st.none() | value for name, value in values.items()}), max_size=6)
conditions = st.sampled_from(sorted(values)).flatmap(condition)
trees = st.recursive(conditions, junction, max_leaves=5)
#: FetchXML has no "not"; SQL has.
sql_trees = st.recursive(conditions, lambda inner: junction(inner) | negation(inner), max_leaves=5)


def is_filter(tree):
    return tree[0] in ("and", "or")


# --- plain Python ---------------------------------------------------------------------------------------------


def folded(value):
    return value.casefold() if isinstance(value, str) else value


def holds(tree, row):
    """What FetchXML says: a negative operator holds for a row without a value."""
    if is_filter(tree):
        return (all if tree[0] == "and" else any)(holds(part, row) for part in tree[1])
    column, name, values = tree
    value = folded(row[column])
    if name in ("null", "not-null"):
        return (value is None) is (name == "null")
    if value is None:
        return name in ("ne", "not-like", "not-in")
    return has_value(name, value, [folded(other) for other in values])


def has_value(name, value, values):
    if name in COMPARISONS:
        return COMPARISONS[name](value, values[0])
    if name.endswith("like"):
        found = fnmatch.fnmatchcase(value, values[0].replace("%", "*").replace("_", "?"))
    elif name.endswith("between"):
        found = values[0] <= value <= values[1]
    else:
        found = value in values
    return found is not name.startswith("not-")


def holds_in_sql(tree, row):
    """What SQL says: True, False, or None for what is not known."""
    if tree[0] == "not":
        inner = holds_in_sql(tree[1], row)
        return None if inner is None else not inner
    if is_filter(tree):
        parts = [holds_in_sql(part, row) for part in tree[1]]
        decisive = tree[0] == "or"
        return decisive if decisive in parts else None if None in parts else not decisive
    column, name, _ = tree
    if row[column] is None and name not in ("null", "not-null"):
        return None
    return holds(tree, row)


# --- the embedded Dataverse -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulator():
    with Emulator(clock=ManualClock()) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def nothing(emulator):
    return emulator.snapshot()


def fill(emulator, nothing, rows):
    emulator.restore(nothing)
    for index, row in enumerate(rows):
        columns = {**row, "accountnumber": str(index)}
        if row["revenue"] is not None:
            columns["revenue"] = Money(row["revenue"])
        emulator.service().create(Entity("account", None, columns))


def element(tree):
    if is_filter(tree):
        return f"<filter type='{tree[0]}'>{''.join(map(element, tree[1]))}</filter>"
    column, name, values = tree
    inside = "".join(f"<value>{quoteattr(str(value))[1:-1]}</value>" for value in values)
    return f"<condition attribute='{column}' operator='{name}'>{inside}</condition>"


def ask(emulator, query):
    request = OrganizationRequest("RetrieveMultiple", {"Query": query})
    return emulator.execute(request).results["BusinessEntityCollection"]


def fetched(emulator, inside, attributes=""):
    return ask(emulator, FetchExpression(f"<fetch {attributes}><entity name='account'>{inside}</entity></fetch>"))


checked = settings(max_examples=80)


@checked
@given(rows, trees)
def test_fetchxml_finds_what_python_finds(emulator, nothing, rows, tree):
    fill(emulator, nothing, rows)
    found = fetched(emulator, f"<attribute name='accountnumber'/><filter>{element(tree)}</filter>")
    expected = {str(index) for index, row in enumerate(rows) if holds(tree, row)}
    assert {row["accountnumber"] for row in found} == expected


@checked
@given(rows, st.integers(1, 3), st.booleans())
def test_pages_hold_every_row_once_and_in_order(emulator, nothing, rows, size, descending):
    fill(emulator, nothing, rows)
    order = f"<attribute name='numberofemployees'/><order attribute='numberofemployees' descending='{descending}'/>"
    seen, cookie = [], ""
    for page in range(1, len(rows) + 2):
        found = fetched(emulator, order, f"count='{size}' page='{page}' {cookie}")
        seen += [row.get("numberofemployees") for row in found]
        if not found.more_records:
            break
        cookie = f"paging-cookie={quoteattr(found.paging_cookie)}"
    values = sorted(
        (row["numberofemployees"] for row in rows), key=lambda n: -1 if n is None else n, reverse=descending
    )
    assert seen == values


@checked
@given(rows)
def test_groups_have_the_counts_and_sums_of_their_rows(emulator, nothing, rows):
    fill(emulator, nothing, rows)
    found = fetched(
        emulator,
        "<attribute name='numberofemployees' groupby='true' alias='n'/>"
        "<attribute name='revenue' aggregate='sum' alias='total'/>"
        "<attribute name='accountid' aggregate='count' alias='rows'/>",
        "aggregate='true'",
    )
    told = {group["n"].value if "n" in group else None: group for group in found}
    assert told.keys() == {row["numberofemployees"] for row in rows}
    for number, group in told.items():
        members = [row["revenue"] for row in rows if row["numberofemployees"] == number]
        amounts = [amount for amount in members if amount is not None]
        assert group["rows"].value == len(members)
        assert (group["total"].value.value if "total" in group else None) == (
            sum(amounts, Decimal()) if amounts else None
        )


SQL_WORDS = {"null": "IS NULL", "not-null": "IS NOT NULL", "like": "LIKE", "not-like": "NOT LIKE"}


def sql(tree):
    if tree[0] == "not":
        return f"NOT ({sql(tree[1])})"
    if is_filter(tree):
        return "(" + f" {tree[0]} ".join(map(sql, tree[1])) + ")"
    column, name, values = tree
    texts = ["'{}'".format(v.replace("'", "''")) if isinstance(v, str) else str(v) for v in values]
    if name in SQL_SIGNS:
        return f"{column} {SQL_SIGNS[name]} {texts[0]}"
    if name in SQL_WORDS:
        return f"{column} {SQL_WORDS[name]} {' '.join(texts)}"
    if name.endswith("between"):
        return f"{column} {name.replace('-', ' ')} {' AND '.join(texts)}"
    return f"{column} {name.replace('-', ' ')} ({', '.join(texts)})"


@checked
@given(rows, sql_trees)
def test_sql_finds_what_three_valued_logic_finds(emulator, nothing, rows, tree):
    fill(emulator, nothing, rows)
    selection = read_sql(
        f"SELECT accountnumber FROM account WHERE {sql(tree)}", emulator.metadata, emulator.clock.now()
    )
    expected = {str(index) for index, row in enumerate(rows) if holds_in_sql(tree, row)}
    assert {row["accountnumber"].value for row in ask(emulator, selection.query)} == expected
