"""What a person types, made into a row."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dataverse_client.types import EntityReference, Money, OptionSetValue
from runner.emulator.metadata.load import load_metadata
from runner.emulator.metadata.model import Column
from runner.simulation.row_input import RowInputError, build_row, split_assignment

ACCOUNT = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"


def nobody_knows(column: Column, text: str) -> EntityReference:
    raise RowInputError(f"{column.logical_name}: nobody is called {text}")


def payment(**values: Any) -> dict[str, Any]:
    return build_row(load_metadata().tables["new_payment"], values, nobody_knows).attributes


@pytest.mark.parametrize(
    ("typed", "column", "value"),
    [
        ({"amount": "19.99"}, "new_amount", Money(Decimal("19.99"))),
        ({"new_amount": Decimal("19.990")}, "new_amount", Money(Decimal("19.990"))),
        ({"name": "Invoice 7"}, "new_name", "Invoice 7"),
        ({"new_paymentstatus": "canceled"}, "new_paymentstatus", OptionSetValue(100000007)),
        ({"new_paymentstatus": "100000007"}, "new_paymentstatus", OptionSetValue(100000007)),
        ({"new_paidon": "2026-01-31T09:00:00+01:00"}, "new_paidon", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ({"new_paidon": ""}, "new_paidon", None),
        ({"customer": f"account:{ACCOUNT.upper()}"}, "new_customerid", EntityReference("account", ACCOUNT)),
        ({"new_salesorderid": ACCOUNT}, "new_salesorderid", EntityReference("salesorder", ACCOUNT)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_gets_its_columns_type(typed: dict[str, Any], column: str, value: Any) -> None:
    assert payment(**typed) == {column: value}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"amount": "nineteen"}, "an amount such as 19.99 is expected"),
        ({"amount": "NaN"}, "an amount such as 19.99 is expected"),
        ({"new_paymentstatus": "Paid"}, "one of Draft (100000000), Pending"),
        ({"new_paidon": "yesterday"}, "a date such as 2026-01-31"),
        ({"customer": f"systemuser:{ACCOUNT}"}, "points at account or contact"),
        ({"ammount": "1"}, "Did you mean amount"),
        ({"name": 7}, "text is expected"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_column_cannot_hold_is_refused_in_words(typed: dict[str, Any], said: str) -> None:
    with pytest.raises(RowInputError) as refused:
        payment(**typed)
    assert said in str(refused.value)


def test_an_assignment_needs_a_column_and_an_equals_sign() -> None:
    assert split_assignment("name=a=b") == ("name", "a=b")
    with pytest.raises(RowInputError, match="write column=value"):
        split_assignment("19.99")
