"""Tables, columns, keys and relationships made while the environment runs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dataverse_client.types import (
    Entity,
    EntityReference,
    Money,
    OptionSetValue,
    OrganizationRequest,
    QueryExpression,
)
from runner.emulator.emulator import Emulator
from runner.emulator.errors import CannotDeleteDueToAssociation, DuplicateRecordEntityKey, InvalidArgument

WIDGET = {
    "logical_name": "new_widget",
    "schema_name": "new_Widget",
    "entity_set_name": "new_widgets",
    "display_name": "Widget",
    "is_custom": True,
    "primary_name": "new_name",
    "columns": {"new_name": {"type": "String", "max_length": 100}},
}


@pytest.fixture
def database(tmp_path):
    return tmp_path / "environment.db"


@pytest.fixture
def emulator(database):
    with Emulator(database=database) as emulator:
        with emulator.customizing() as customizations:
            customizations.create_table(WIDGET)
        yield emulator


def add_column(emulator, table, name, **body):
    with emulator.customizing() as customizations:
        customizations.create_column(table, name, body)


def test_a_table_is_usable_at_once(emulator):
    crm = emulator.service()
    id = crm.create(Entity("new_widget", attributes={"new_name": "A"}))
    assert crm.retrieve("new_widget", id)["new_name"] == "A"


def test_a_money_column_brings_the_currency_along(emulator):
    add_column(emulator, "new_widget", "new_price", type="Money")
    crm = emulator.service()
    row = crm.retrieve("new_widget", crm.create(Entity("new_widget", attributes={"new_price": Money(Decimal("2.5"))})))
    assert row["new_price_base"] == Money(Decimal("2.5"))
    assert "transactioncurrencyid" in row


def test_a_column_of_a_platform_table_has_its_labels(emulator):
    add_column(emulator, "account", "new_kind", type="Picklist", options={1: "Small", 2: "Large"})
    crm = emulator.service()
    id = crm.create(Entity("account", attributes={"new_kind": OptionSetValue(2)}))
    assert crm.retrieve("account", id).formatted_values["new_kind"] == "Large"


def test_everything_is_there_again_when_the_database_is_opened_again(emulator, database):
    add_column(emulator, "new_widget", "new_kind", type="Picklist", options={1: "Small"})
    id = emulator.service().create(Entity("new_widget", attributes={"new_kind": OptionSetValue(1)}))
    emulator.close()
    with Emulator(database=database) as again:
        assert again.service().retrieve("new_widget", id).formatted_values["new_kind"] == "Small"


def test_a_change_that_fails_leaves_nothing_behind(emulator):
    before = emulator.metadata

    def change():
        with emulator.customizing() as customizations:
            customizations.create_column("new_widget", "new_count", {"type": "Integer"})
            customizations.create_column("new_widget", "new_name", {"type": "Integer"})

    with pytest.raises(InvalidArgument):
        change()
    assert emulator.metadata.tables["new_widget"] == before.tables["new_widget"]
    add_column(emulator, "new_widget", "new_count", type="Integer")


def test_a_restored_snapshot_has_the_tables_it_had(emulator):
    snapshot = emulator.snapshot()
    add_column(emulator, "new_widget", "new_count", type="Integer")
    emulator.restore(snapshot)
    assert "new_count" not in emulator.metadata.tables["new_widget"].columns
    emulator.service().create(Entity("new_widget", attributes={"new_name": "A"}))


def test_a_key_forbids_the_second_row(emulator):
    with emulator.customizing() as customizations:
        customizations.create_key("new_widget", "new_key", {"schema_name": "new_Key", "columns": ["new_name"]})
    crm = emulator.service()
    crm.create(Entity("new_widget", attributes={"new_name": "A"}))
    with pytest.raises(DuplicateRecordEntityKey):
        crm.create(Entity("new_widget", attributes={"new_name": "A"}))
    with emulator.customizing() as customizations:
        customizations.delete_key("new_widget", "new_key")
    crm.create(Entity("new_widget", attributes={"new_name": "A"}))


def test_a_many_to_many_relationship_links_rows(emulator):
    body = {"with": "account", "intersect": "new_widget_account", "entity_set_name": "new_widget_accounts"}
    with emulator.customizing() as customizations:
        customizations.create_many_to_many("new_widget", "new_Widget_Account", body)
    crm = emulator.service()
    widget, account = crm.create(Entity("new_widget")), crm.create(Entity("account"))
    crm.associate("new_widget", widget, "new_Widget_Account", [EntityReference("account", account)])
    with emulator.customizing() as customizations:
        customizations.delete_many_to_many("new_widget", "new_Widget_Account")
    assert "new_widget_account" not in emulator.metadata.tables


def test_rows_of_one_table_can_be_linked_to_each_other(emulator):
    body = {"with": "new_widget", "intersect": "new_widget_pairs", "entity_set_name": "new_widget_pairset"}
    with emulator.customizing() as customizations:
        customizations.create_many_to_many("new_widget", "new_Widget_Pairs", body)
    crm = emulator.service()
    first, second = (EntityReference("new_widget", crm.create(Entity("new_widget"))) for _ in "12")
    crm.associate("new_widget", first.id, "new_Widget_Pairs", [second])
    (link,) = crm.retrieve_multiple(QueryExpression.of("new_widget_pairs"))
    assert (link["new_widgetidone"], link["new_widgetidtwo"]) == (first.id, second.id)
    related = {"new_Widget_Pairs": QueryExpression.of("new_widget")}
    asked = OrganizationRequest("Retrieve", {"Target": first, "ColumnSet": (), "RelatedEntitiesQuery": related})
    row = crm.execute(asked).results["BusinessEntity"]
    assert [each.id for each in row.related_entities["new_Widget_Pairs"]] == [second.id]
    crm.disassociate("new_widget", first.id, "new_Widget_Pairs", [second])
    assert len(crm.retrieve_multiple(QueryExpression.of("new_widget_pairs"))) == 0


class TestDeleting:
    def test_a_column_is_gone_and_can_come_back_as_another(self, emulator):
        add_column(emulator, "new_widget", "new_price", type="Money")
        with emulator.customizing() as customizations:
            customizations.delete_column("new_widget", "new_price")
        assert "new_price_base" not in emulator.metadata.tables["new_widget"].columns
        add_column(emulator, "new_widget", "new_price", type="String", max_length=5)

    def test_a_table_takes_its_rows_along(self, emulator):
        crm = emulator.service()
        crm.create(Entity("new_widget"))
        with emulator.customizing() as customizations:
            customizations.delete_table("new_widget")
            customizations.create_table(WIDGET)
        assert len(crm.retrieve_multiple(QueryExpression("new_widget"))) == 0

    def test_a_table_others_refer_to_stays(self, emulator):
        add_column(
            emulator, "account", "new_widgetid", type="Lookup", schema_name="new_WidgetId", targets=["new_widget"]
        )
        with pytest.raises(CannotDeleteDueToAssociation, match="account"), emulator.customizing() as customizations:
            customizations.delete_table("new_widget")

    @pytest.mark.parametrize(
        "change",
        [
            lambda customizations: customizations.delete_table("account"),
            lambda customizations: customizations.delete_column("account", "name"),
            lambda customizations: customizations.delete_column("new_widget", "new_name"),
            lambda customizations: customizations.delete_key("new_payment", "new_stripepaymentintentkey"),
            lambda customizations: customizations.delete_column("new_widget", "new_nothing"),
            lambda customizations: customizations.update_column("new_widget", "new_name", {"type": "Integer"}),
        ],
    )
    def test_what_is_not_ones_own_or_still_needed_stays(self, emulator, change):
        with pytest.raises(InvalidArgument), emulator.customizing() as customizations:
            change(customizations)


def test_a_column_can_be_made_longer(emulator):
    with emulator.customizing() as customizations:
        customizations.update_column("new_widget", "new_name", {"max_length": 200})
    crm = emulator.service()
    assert crm.create(Entity("new_widget", attributes={"new_name": "x" * 200}))
