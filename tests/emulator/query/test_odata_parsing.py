"""OData text -> tree, and what is refused on the way."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.emulator.query.odata import (
    ExpandItem,
    OrderItem,
    QueryOptions,
    parse_arguments,
    parse_expand,
    parse_filter,
    parse_options,
    parse_orderby,
    parse_select,
)
from runner.emulator.query.odata_syntax import (
    Call,
    Comparison,
    Junction,
    Lambda,
    Literal,
    Negation,
    ODataError,
    Property,
    QueryFunction,
)

ID = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"


@pytest.mark.parametrize(
    ("text", "value", "edm_type"),
    [
        ("null", None, None),
        ("true", True, "Edm.Boolean"),
        ("'it''s'", "it's", "Edm.String"),
        ("-7", -7, "Edm.Int32"),
        ("19.990", Decimal("19.990"), "Edm.Decimal"),
        (ID.upper(), ID, "Edm.Guid"),
        ("2026-11-22", date(2026, 11, 22), "Edm.Date"),
        ("2026-11-22T17:00:00Z", datetime(2026, 11, 22, 17, tzinfo=UTC), "Edm.DateTimeOffset"),
        ("2026-11-22T19:00:00.1234567+02:00", datetime(2026, 11, 22, 17, 0, 0, 123456, UTC), "Edm.DateTimeOffset"),
        ("Microsoft.Dynamics.CRM.AttributeTypeCode'Picklist'", "Picklist", "Edm.String"),
    ],
)
def test_a_literal_has_the_type_it_is_written_as(text, value, edm_type):
    assert parse_filter(f"a eq {text}") == Comparison("eq", Property(("a",)), Literal(value, edm_type))


def test_and_binds_tighter_than_or_and_not_tightest():
    a, b, c = (Comparison("eq", Property((name,)), Literal(1, "Edm.Int32")) for name in "abc")
    assert parse_filter("a eq 1 or b eq 1 and not (c eq 1)") == Junction("or", (a, Junction("and", (b, Negation(c)))))


def test_parentheses_group():
    assert parse_filter("(a eq 1 or b eq 1) and c eq 1").operator == "and"


def test_a_function_may_have_a_space_after_the_comma():
    assert parse_filter("contains(name, 'x')") == Call("contains", (Property(("name",)), Literal("x", "Edm.String")))


def test_a_query_function_takes_a_json_array_with_any_punctuation():
    call = parse_filter('Microsoft.Dynamics.CRM.In(PropertyName=\'c\',PropertyValues=["a\'b","),("])')
    assert call == QueryFunction("In", {"PropertyName": "c", "PropertyValues": ["a'b", "),("]})


def test_the_values_of_a_query_function_may_be_quoted_as_odata_quotes():
    call = parse_filter("Microsoft.Dynamics.CRM.In(PropertyName='c',PropertyValues=[ 'a''b' , '),(' ])")
    assert call == QueryFunction("In", {"PropertyName": "c", "PropertyValues": ["a'b", "),("]})


def test_lambda_with_and_without_a_body():
    assert parse_filter("contacts/any()") == Lambda(Property(("contacts",)), "any")
    body = Comparison("eq", Property(("c", "lastname")), Literal("x", "Edm.String"))
    assert parse_filter("contacts/all(c:c/lastname eq 'x')") == Lambda(Property(("contacts",)), "all", "c", body)


def test_an_alias_stands_for_its_value():
    assert parse_filter("a eq @p1", {"@p1": "'x'"}) == parse_filter("a eq 'x'")


def test_an_alias_stands_for_a_property():
    assert parse_filter("@p ne @none", {"@p": "a/b"}) == parse_filter("a/b ne null")
    assert parse_orderby("@p desc", {"@p": "a/b"}) == (OrderItem(Property(("a", "b")), True),)


def test_an_alias_stands_for_a_member_of_an_enumeration():
    kind = "Microsoft.Dynamics.CRM.TargetFieldType'All'"
    assert parse_arguments("Kind=@p", {"@p": kind}) == parse_arguments(f"Kind={kind}") == {"Kind": "All"}


@pytest.mark.parametrize("quote", ["'", '"'])
def test_an_alias_stands_for_an_object_in_either_quotes(quote):
    target = "{'@odata.id':'accounts(1)','names':['a',']']}".replace("'", quote)
    assert parse_arguments("Target=@p", {"@p": target})["Target"] == {"@odata.id": "accounts(1)", "names": ["a", "]"]}


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ("lastname eq 'O'Bryan'", "There is an unterminated literal at position 21 in 'lastname eq 'O'Bryan''."),
        (
            "In(PropertyValues=['OBrian','O'Bryan'])",
            "Invalid JSON. A comma character ',' was expected in scope 'Array'.",
        ),
    ],
)
def test_a_quote_that_is_not_doubled_is_refused_in_the_platforms_words(filter, message):
    with pytest.raises(ODataError) as refusal:
        parse_filter(filter.replace("In(", "Microsoft.Dynamics.CRM.In("))
    assert refusal.value.message.startswith(message)


def test_an_alias_reaches_into_an_expand():
    options = parse_options({"$expand": "contacts($filter=lastname eq @p)", "@p": "'x'"})
    assert options.expand[0].options.filter == parse_filter("lastname eq 'x'")


def test_expand_with_nested_options():
    items = parse_expand("a($select=x,y;$filter=n eq ';,)';$expand=b($top=3)),c")
    nested = (ExpandItem("b", QueryOptions(top=3)),)
    filter = parse_filter("n eq ';,)'")
    assert items == (
        ExpandItem("a", QueryOptions(("x", "y"), filter, expand=nested)),
        ExpandItem("c", QueryOptions()),
    )


def test_orderby_and_select_are_lists_with_spaces_or_without():
    assert parse_orderby("a, b/c desc") == (OrderItem(Property(("a",))), OrderItem(Property(("b", "c")), True))
    assert parse_select(" a ,b") == ("a", "b")
    assert parse_select("*") is None


def test_arguments_of_a_segment():
    assert parse_arguments(ID.upper()) == {"": ID}
    assert parse_arguments("accountnumber='O''Neil, (x)',k2=5") == {"accountnumber": "O'Neil, (x)", "k2": 5}
    assert parse_arguments("") == {}


@pytest.mark.parametrize(
    "text",
    ["", "a eq", "eq eq eq eq", "(a eq 1", "a eq 1)", "a b c", "a eq 1 and", "contains(a,'x'", "a eq %"],
)
def test_a_mistake_is_refused_with_its_place(text):
    with pytest.raises(ODataError, match="Syntax error at position"):
        parse_filter(text)


@pytest.mark.parametrize("text", ["(" * 5000, "not " * 5000, "In(" * 500])
def test_extremes_are_refused_in_words(text):
    with pytest.raises(ODataError):
        parse_filter(text)


@pytest.mark.parametrize("parameters", [{"$top": "0"}, {"$top": "-1"}, {"$top": "٣"}, {"$count": "maybe"}])
def test_options_with_impossible_values_are_refused(parameters):
    with pytest.raises(ODataError, match="Invalid value"):
        parse_options(parameters)


@given(st.text(max_size=60))
def test_no_text_makes_the_parser_fail_otherwise_than_by_refusing(text):
    for parse in (parse_filter, parse_orderby, parse_expand, parse_arguments):
        with suppress(ODataError):
            parse(text)


_words = st.sampled_from(["(", ")", "a", "eq", "'x'", " and ", " or ", " not ", "1", ",", "/", "any", ":", "null", "["])


@given(st.lists(_words, max_size=25).map(" ".join))
def test_no_text_of_odata_words_makes_the_parser_crash(text):
    with suppress(ODataError):
        parse_filter(text)


_names = st.sampled_from(["name", "revenue", "_owner_value"])
_literals = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.text(max_size=8), st.decimals(-9, 9, places=2)
)


def _written(value):
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "null" if value is None else str(value).lower()


@given(_names, st.sampled_from(["eq", "ne", "gt", "le"]), _literals)
def test_what_is_written_is_what_is_read(name, operator, value):
    comparison = parse_filter(f"{name} {operator} {_written(value)}")
    assert (comparison.left, comparison.operator) == (Property((name,)), operator)
    assert comparison.right.value == value
