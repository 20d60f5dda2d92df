"""Metadata reads, as the clients in the field send them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

PAYMENT = "EntityDefinitions(LogicalName='new_payment')"


def test_a_table_is_found_by_a_filter(crm):
    query = "$select=LogicalName,EntitySetName,PrimaryIdAttribute&$filter=LogicalName eq 'new_payment'"
    (table,) = crm.get(f"EntityDefinitions?{query}")["value"]
    assert table["EntitySetName"] == "new_payments"
    assert table["PrimaryIdAttribute"] == "new_paymentid"


def test_an_unknown_table_is_an_empty_list_to_a_filter_and_missing_by_name(crm):
    assert crm.get("EntityDefinitions?$filter=LogicalName eq 'nothing'")["value"] == []
    assert crm.send("GET", "EntityDefinitions(LogicalName='nothing')").status == 404


def test_a_table_is_addressed_by_its_metadata_id_too(crm):
    id = crm.get(f"{PAYMENT}?$select=MetadataId")["MetadataId"]
    assert crm.get(f"EntityDefinitions({id})")["LogicalName"] == "new_payment"


def test_everything_a_client_needs_to_read_and_write_rows_in_one_request(crm):
    expand = (
        "Attributes($select=LogicalName,AttributeType,AttributeTypeName,SchemaName),"
        "ManyToOneRelationships($select=ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName),"
        "Keys($select=LogicalName,KeyAttributes)"
    )
    table = crm.get(f"{PAYMENT}?$select=EntitySetName&$expand={expand}")
    types = {column["LogicalName"]: column["AttributeType"] for column in table["Attributes"]}
    navigation = {
        (lookup["ReferencingAttribute"], lookup["ReferencedEntity"]): lookup["ReferencingEntityNavigationPropertyName"]
        for lookup in table["ManyToOneRelationships"]
    }
    assert types["new_amount"] == "Money"
    assert types["new_customerid"] == "Customer"
    assert navigation["new_customerid", "contact"] == "new_CustomerId_contact"
    assert ["new_stripepaymentintentid"] in [key["KeyAttributes"] for key in table["Keys"]]


def test_choices_are_listed_with_their_labels(crm):
    cast = "Microsoft.Dynamics.CRM.PicklistAttributeMetadata"
    query = "$select=LogicalName&$expand=OptionSet($select=Options)"
    columns = crm.get(f"{PAYMENT}/Attributes/{cast}?{query}")["value"]
    (status,) = [column for column in columns if column["LogicalName"] == "new_paymentstatus"]
    labels = {
        option["Value"]: option["Label"]["UserLocalizedLabel"]["Label"] for option in status["OptionSet"]["Options"]
    }
    assert labels[100000005] == "Completed"


def test_a_table_without_choices_has_an_empty_list_of_them(crm):
    cast = "Microsoft.Dynamics.CRM.MultiSelectPicklistAttributeMetadata"
    assert crm.get(f"{PAYMENT}/Attributes/{cast}")["value"] == []


def test_one_column_is_described_as_what_it_is(crm):
    column = crm.get(f"{PAYMENT}/Attributes(LogicalName='new_amount')")
    assert column["@odata.type"] == "#Microsoft.Dynamics.CRM.MoneyAttributeMetadata"
    assert column["Precision"] == 4
    assert crm.send("GET", f"{PAYMENT}/Attributes(LogicalName='new_nothing')").status == 404


def test_columns_are_filtered_by_their_kind(crm):
    filter = "AttributeType ne 'Virtual' and AttributeType eq Microsoft.Dynamics.CRM.AttributeTypeCode'Money'"
    columns = crm.get(f"{PAYMENT}/Attributes?$select=LogicalName&$filter={filter}")["value"]
    assert {"new_amount", "new_amount_base"} <= {column["LogicalName"] for column in columns}
    assert "new_name" not in {column["LogicalName"] for column in columns}


def test_relationships_are_found_from_the_table_and_by_their_name(crm):
    lookups = crm.get(f"{PAYMENT}/ManyToOneRelationships")["value"]
    (order,) = [lookup for lookup in lookups if lookup["ReferencedEntity"] == "salesorder"]
    (same,) = crm.get(f"RelationshipDefinitions?$filter=SchemaName eq '{order['SchemaName']}'")["value"]
    assert same == order
    cast = "RelationshipDefinitions/Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata"
    assert len(crm.get(f"{cast}?$filter=ReferencedEntity eq 'salesorder'")["value"]) >= 1


@pytest.mark.parametrize(
    "path",
    [
        f"{PAYMENT}?$select=Nonsense",
        f"{PAYMENT}?$expand=Nonsense",
        f"{PAYMENT}/Nonsense",
        f"{PAYMENT}/Attributes(LogicalName='new_amount')/Microsoft.Dynamics.CRM.StringAttributeMetadata",
        "EntityDefinitions?$filter=LogicalName gt 5",
        "EntityDefinitions?$filter=Microsoft.Dynamics.CRM.In(PropertyName='a',PropertyValues=[1])",
    ],
)
def test_what_is_not_there_is_refused(crm, path):
    assert crm.send("GET", path).status in (400, 404)


def test_the_schema_document_is_well_formed_and_complete(crm):
    response = crm.send("GET", "$metadata", Accept="application/xml")
    schema = ElementTree.fromstring(response.body)[0][0]  # noqa: S314  # our own document
    edm = "{http://docs.oasis-open.org/odata/ns/edm}"
    (payment,) = [each for each in schema.iter(f"{edm}EntityType") if each.get("Name") == "new_payment"]
    types = {each.get("Name"): each.get("Type") for each in payment}
    names = {each.get("Name") for each in schema.iter(f"{edm}EntityType")}
    assert response.headers["Content-Type"] == "application/xml"
    assert types["new_amount"] == "Edm.Decimal"
    assert types["_new_salesorderid_value"] == "Edm.Guid"
    assert types["new_SalesOrderId"] == "mscrm.salesorder"
    pointed_at = {each.get("Type").strip(")").rpartition(".")[2] for each in schema.iter(f"{edm}NavigationProperty")}
    assert pointed_at <= names


def test_the_service_document_lists_the_entity_sets(crm):
    assert "new_payments" in [item["name"] for item in crm.get("")["value"]]


@pytest.mark.behaviour("Web API", "Definitions know $select, $filter and $expand", "webapi/query-metadata-web-api")
@pytest.mark.parametrize("option", ["$top=1", "$orderby=LogicalName", "$count=true", "$skip=1", "$apply=groupby((A))"])
def test_other_query_options_are_refused(crm, error_of, option):
    status, _, message = error_of(crm.send("GET", f"EntityDefinitions?$select=LogicalName&{option}"))
    assert (status, message) == (400, f"The query parameter {option.partition('=')[0]} is not supported.")


@pytest.mark.parametrize("filter", ["Nothing eq 1", "not (IsPrivate eq true or contains(Nothing,'x'))"])
def test_a_filter_on_what_definitions_do_not_have_is_refused(crm, error_of, filter):
    status, _, message = error_of(crm.send("GET", f"EntityDefinitions?$filter={filter}"))
    assert status == 400
    assert "'Nothing'" in message


def test_features_that_are_not_there_are_told_to_be_off(crm):
    table = crm.get(f"{PAYMENT}?$select=IsKnowledgeManagementEnabled,IsAuditEnabled")
    assert table["IsKnowledgeManagementEnabled"] is False
    assert table["IsAuditEnabled"]["Value"] is False
    column = crm.get(f"{PAYMENT}/Attributes(LogicalName='new_amount')?$select=IsValidForAdvancedFind")
    assert column["IsValidForAdvancedFind"]["Value"] is True


def test_the_context_of_one_definition_says_that_it_is_one(crm):
    assert crm.get(PAYMENT)["@odata.context"].endswith("#EntityDefinitions/$entity")
    assert crm.get(f"{PAYMENT}/Attributes?$select=LogicalName")["@odata.context"].endswith(
        "EntityDefinitions/Attributes"
    )


@pytest.mark.behaviour(
    "Web API", "Eligibility for relationships can be asked", "webapi/create-update-entity-relationships-using-web-api"
)
def test_tables_may_take_part_in_relationships(crm, error_of):
    for action in ("CanBeReferenced", "CanBeReferencing", "CanManyToMany"):
        assert crm.post(action, {"EntityName": "account"}).json()[action] is True
        assert crm.post(action, {"EntityName": "teammembership"}).json()[action] is False
        assert error_of(crm.post(action, {"EntityName": "nothing"}))[0] == 400
    assert "account" in crm.get("GetValidManyToMany()")["EntityNames"]
    assert "account" in crm.get("GetValidReferencedEntities(ReferencingEntityName='contact')")["EntityNames"]
