"""The value types every package speaks in."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dataverse_client.types import Entity, EntityCollection, EntityReference, Money, guid, is_guid, new_guid


def test_guids_are_lower_case_without_braces() -> None:
    assert guid("{6F1B8C1E-7A54-4D59-9F0C-2D1F4C1A7B11}") == "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"


def test_new_guids_differ_and_are_guids() -> None:
    first, second = new_guid(), new_guid()
    assert first != second
    assert guid(first) == first
    assert first[14] == "4"


def test_what_is_no_guid_is_refused_by_name() -> None:
    assert not is_guid("7")
    with pytest.raises(ValueError, match="'7' is not a GUID"):
        guid("7")


def test_money_refuses_a_float() -> None:
    with pytest.raises(TypeError, match="float"):
        Money(19.99)  # type: ignore[arg-type]


def test_money_says_how_it_is_written() -> None:
    with pytest.raises(TypeError, match=r'write Money\(Decimal\("10.50"\)\)'):
        Money(10)  # type: ignore[arg-type]


def test_a_column_that_is_absent_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="No 'nmae' in this account, which holds name, telephone1"):
        Entity("account", attributes={"name": "Contoso", "telephone1": "1"})["nmae"]


def test_changing_a_copy_leaves_the_row_alone() -> None:
    row = Entity("account", new_guid(), {"name": "Contoso"})
    twin = row.copy()
    twin["name"] = "Fabrikam"
    assert row["name"] == "Contoso"
    assert twin != row


def test_a_copy_of_a_row_has_copies_of_its_related_rows() -> None:
    row = Entity("account")
    row.related_entities["contact_customer_accounts"] = EntityCollection(
        [Entity("contact", None, {"lastname": "Nancy"})]
    )
    row.copy().related_entities["contact_customer_accounts"][0]["lastname"] = "Changed"
    assert row.related_entities["contact_customer_accounts"][0]["lastname"] == "Nancy"


def test_references_to_one_row_are_equal_whatever_their_names() -> None:
    row_id = new_guid()
    assert EntityReference("account", row_id, name="Contoso") == EntityReference("account", row_id)


def test_money_keeps_the_scale_it_came_with() -> None:
    assert str(Money(Decimal("10.00")).value) == "10.00"
