"""Texts that Dataverse takes for one: they differ in case, accents or spaces at their end."""

from __future__ import annotations

import pytest

from dataverse_client.types import Entity, FetchExpression, QueryExpression
from runner.emulator.emulator import Emulator
from runner.emulator.errors import DuplicateRecordEntityKey

NAMES = ["Café", "CAFE ", "cafes", "Zoë"]


@pytest.fixture(scope="module")
def crm():
    with Emulator() as emulator:
        service = emulator.service()
        for name in NAMES:
            service.create(Entity("account", attributes={"name": name}))
        yield service


@pytest.fixture
def found(crm):
    """The names of the accounts FetchXML finds."""

    def fetch(inside, **attributes):
        options = " ".join(f'{name}="{value}"' for name, value in attributes.items())
        query = f'<fetch {options}><entity name="account"><attribute name="name"/>{inside}</entity></fetch>'
        return [row["name"] for row in crm.retrieve_multiple(FetchExpression(query))]

    return fetch


@pytest.mark.behaviour(
    "Queries",
    "Texts are compared without regard to case, accents and spaces at their end, as by Latin1_General_CI_AI",
    "https://learn.microsoft.com/power-platform/admin/language-collations",
)
@pytest.mark.parametrize(
    ("operator", "value", "names"),
    [
        ("eq", "cafe", ["Café", "CAFE "]),
        ("eq", "CÀFÉ  ", ["Café", "CAFE "]),
        ("ne", "cafe", ["cafes", "Zoë"]),
        ("gt", "cafe", ["cafes", "Zoë"]),
        ("le", "café", ["Café", "CAFE "]),
        ("like", "cafe%", ["Café", "CAFE ", "cafes"]),
        ("like", "%FÉ", ["Café"]),
        ("not-like", "caf_%", ["Zoë"]),
        ("like", "[y-z]oe", ["Zoë"]),
        ("begins-with", "cafe", ["Café", "CAFE ", "cafes"]),
        ("ends-with", "oe", ["Zoë"]),
    ],
)
def test_a_condition_finds_every_spelling(found, operator, value, names):
    assert found(f'<filter><condition attribute="name" operator="{operator}" value="{value}"/></filter>') == names


def test_one_of_several_values_finds_every_spelling(found):
    values = "<value>zoe</value><value>cafés</value>"
    assert found(f'<filter><condition attribute="name" operator="in">{values}</condition></filter>') == ["cafes", "Zoë"]


@pytest.mark.behaviour(
    "Queries",
    "Accents do not tell texts apart when they are sorted",
    "https://learn.microsoft.com/power-platform/admin/language-collations",
)
@pytest.mark.parametrize("page", [1, 2])
def test_accents_do_not_sort(found, page):
    names = found('<order attribute="name" descending="true"/>', count=2, page=page)
    assert [name.strip().lower() for name in names] in (["zoë", "cafes"], ["cafe", "café"])


def test_values_that_compare_equal_are_grouped_together(crm):
    query = (
        '<fetch aggregate="true"><entity name="account"><attribute name="name" alias="n" groupby="true"/>'
        '<attribute name="accountid" alias="c" aggregate="count"/><order alias="c"/></entity></fetch>'
    )
    groups = crm.retrieve_multiple(FetchExpression(query))
    assert [group["c"].value for group in groups] == [1, 1, 2]


@pytest.mark.behaviour(
    "Queries",
    "distinct makes one row of every spelling",
    "https://learn.microsoft.com/power-platform/admin/language-collations",
)
def test_distinct_tells_no_spellings_apart(found):
    names = found('<order attribute="name"/>', distinct="true")
    assert [name[:3].lower() for name in names] == ["caf", "caf", "zoë"]


def test_distinct_values_are_counted_as_they_are_compared(crm):
    query = (
        '<fetch aggregate="true"><entity name="account">'
        '<attribute name="name" alias="n" aggregate="countcolumn" distinct="true"/></entity></fetch>'
    )
    (counted,) = crm.retrieve_multiple(FetchExpression(query))
    assert counted["n"].value == 3


class TestKeys:
    """An alternate key takes every spelling of a text for the same key."""

    KEY = "new_stripepaymentintentid"

    @pytest.fixture
    def payments(self):
        with Emulator() as emulator:
            service = emulator.service()
            service.create(Entity("new_payment", attributes={"new_name": "first", self.KEY: "pi_Café"}))
            yield service

    @pytest.mark.behaviour(
        "Rows",
        "An alternate key is violated by every spelling of its text, whatever its case, accents and spaces at its end",
        "https://learn.microsoft.com/power-platform/admin/language-collations",
    )
    @pytest.mark.parametrize("spelling", ["pi_Café", "PI_CAFÉ", "pi_cafe", "pi_café  "])
    def test_another_spelling_is_a_duplicate(self, payments, spelling):
        with pytest.raises(DuplicateRecordEntityKey):
            payments.create(Entity("new_payment", attributes={self.KEY: spelling}))

    def test_another_spelling_finds_the_row(self, payments):
        payments.update(Entity("new_payment", key_attributes={self.KEY: "PI_CAFE "}, attributes={"new_name": "found"}))
        (row,) = payments.retrieve_multiple(QueryExpression.of("new_payment", "new_name", where={self.KEY: "pi_cafe"}))
        assert row["new_name"] == "found"

    def test_a_key_over_rows_that_differ_in_accents_only_fails(self):
        with Emulator() as emulator:
            for number in ("N-é", "N-e"):
                emulator.service().create(Entity("account", attributes={"accountnumber": number}))
            with emulator.customizing() as customizations:
                key = {"schema_name": "new_NumberKey", "display_name": "Number", "columns": ["accountnumber"]}
                customizations.create_key("account", "new_numberkey", key)
            assert emulator.metadata.tables["account"].keys[0].has_failed
