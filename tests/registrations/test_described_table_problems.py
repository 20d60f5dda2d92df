"""What is wrong in the section ``tables`` is said with its place."""

from __future__ import annotations

import pytest

from runner.registrations.load import RegistrationError, parse


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("{ colums: {} }", "tables.new_stay.colums: There is no such key. Did you mean columns?"),
        ("{ columns: { new_a: { type: Text } } }", "columns.new_a.type: 'Text' is not allowed here. Use 'String'"),
        ("{ columns: { new_a: { type: Lookup } } }", "columns.new_a: A Lookup leads to a table. Name it"),
        ("{ columns: { new_a: { type: Picklist } } }", "columns.new_a: A Picklist has options. Give it options"),
        ("{ columns: { new_a: { type: Picklist, options: { open: Open } } } }", "'open' is not a whole number."),
        ("{ columns: { new_a: { type: Memo, schema_name: new_B } } }", "schema_name: new_B is not new_a."),
        ("{ schema_name: new_Trip }", "tables.new_stay.schema_name: new_Trip is not new_stay."),
        (
            "{ primary_name: new_nam, columns: { new_name: { type: String } } }",
            "primary_name: There is no column 'new_nam' under columns. Did you mean new_name?",
        ),
    ],
)
def test_a_table_that_cannot_be_described_is_refused(table: str, told: str) -> None:
    with pytest.raises(RegistrationError) as raised:
        parse(f"tables:\n  new_stay: {table}\n")
    assert told in str(raised.value)
    assert str(raised.value).startswith("registrations.yaml:2:")


def test_a_broken_table_does_not_hide_what_is_wrong_with_another() -> None:
    with pytest.raises(RegistrationError) as raised:
        parse("tables:\n  new_a: { colums: {} }\n  new_b: { columns: { new_c: { type: Lookup } } }\n")
    assert [problem.line for problem in raised.value.problems] == [2, 3]
