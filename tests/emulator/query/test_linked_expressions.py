"""A QueryExpression of several tables finds what the same FetchXML finds, and one becomes the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataverse_client.types import (
    AliasedValue,
    ConditionExpression,
    ConditionOperator,
    Entity,
    EntityReference,
    FilterExpression,
    JoinOperator,
    LinkEntity,
    LogicalOperator,
    OptionSetValue,
    OrderExpression,
    OrderType,
    PagingInfo,
    QueryExpression,
)
from runner.emulator.errors import AttributeNotFound, EntityNotFound, InvalidArgument
from runner.emulator.seed import ADMINISTRATOR_ID

Op, Join = ConditionOperator, JoinOperator
PRIMARY = LinkEntity("contact", "primarycontactid", "contactid")
CONTACTS = LinkEntity("contact", "accountid", "parentcustomerid")
DAUGHTERS = LinkEntity("account", "accountid", "parentaccountid")


def having(*conditions, operator=LogicalOperator.AND):
    return FilterExpression(operator, tuple(ConditionExpression(*condition) for condition in conditions))


def accounts_with(*links, **more):
    return QueryExpression("account", ("name",), orders=(OrderExpression("name"),), link_entities=links, **more)


def accounts_where(link, operator=LogicalOperator.AND, **more):
    return accounts_with(criteria=FilterExpression(operator, any_all_filter_link_entity=link, **more))


@pytest.fixture(autouse=True)
def rows(service):
    """Ada has nobody. Bea has Max, and Mia as her primary contact. Cid is Bea's daughter, and has Zoe."""
    ids = {}
    for name, parent in (("Ada", None), ("Bea", None), ("Cid", "Bea")):
        above = {"parentaccountid": EntityReference("account", ids[parent])} if parent else {}
        ids[name] = service.create(Entity("account", None, {"name": name, "accountnumber": name[0], **above}))
    for name, account, gender in (("Max", "Bea", 1), ("Mia", "Bea", 2), ("Zoe", "Cid", 1)):
        columns = {"lastname": name, "parentcustomerid": EntityReference("account", ids[account])}
        ids[name] = service.create(Entity("contact", None, {**columns, "gendercode": OptionSetValue(gender)}))
    primary = EntityReference("contact", ids["Mia"])
    service.update(Entity("account", ids["Bea"], {"primarycontactid": primary}))
    return ids


@pytest.fixture
def found(service, send, fetch):
    """The rows of a query, which are the same for its FetchXML, and for the QueryExpression made of that."""

    def ask(query):
        rows = service.retrieve_multiple(query).entities
        written = send("QueryExpressionToFetchXml", Query=query)["FetchXml"]
        assert fetch(written).entities == rows
        read = send("FetchXmlToQueryExpression", FetchXml=written)["Query"]
        assert service.retrieve_multiple(read).entities == rows
        return rows

    return ask


@pytest.fixture
def names(found):
    """The names of the accounts that a query finds."""
    return lambda query: [row["name"] for row in found(query)]


@pytest.mark.behaviour(
    "Queries", "LinkEntity joins a table by each JoinOperator of a link", "org-service/queryexpression/join-tables"
)
@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (Join.INNER, ["Bea", "Bea", "Cid"]),
        (Join.LEFT_OUTER, ["Ada", "Bea", "Bea", "Cid"]),
        (Join.EXISTS, ["Bea", "Cid"]),
        (Join.IN, ["Bea", "Cid"]),
        (Join.MATCH_FIRST_ROW_USING_CROSS_APPLY, ["Bea", "Cid"]),
    ],
)
def test_a_link_keeps_rows_by_its_operator(names, operator, expected):
    assert names(accounts_with(replace(CONTACTS, join_operator=operator))) == expected


@pytest.mark.behaviour(
    "Queries", "AnyAllFilterLinkEntity finds rows by their related rows", "org-service/queryexpression/filter-rows"
)
@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (Join.ANY, ["Bea"]),
        (Join.NOT_ALL, ["Bea"]),
        (Join.NOT_ANY, ["Ada", "Cid"]),
        (Join.ALL, ["Cid"]),
    ],
)
def test_a_filter_asks_for_related_rows(names, operator, expected):
    link = replace(CONTACTS, join_operator=operator, link_criteria=having(("lastname", Op.BEGINS_WITH, ("M",))))
    assert names(accounts_where(link)) == expected


def test_related_rows_are_one_condition_of_an_or(names):
    related = replace(CONTACTS, join_operator=Join.ANY, link_criteria=having(("lastname", Op.EQUAL, ("Zoe",))))
    named = (ConditionExpression("name", Op.EQUAL, ("Ada",)),)
    parented = FilterExpression(any_all_filter_link_entity=replace(DAUGHTERS, join_operator=Join.ANY))
    assert names(accounts_where(related, LogicalOperator.OR, conditions=named)) == ["Ada", "Cid"]
    assert names(accounts_where(related, LogicalOperator.OR, filters=(parented,))) == ["Bea", "Cid"]


@pytest.mark.behaviour(
    "Queries",
    "Columns of a LinkEntity come as AliasedValue under its EntityAlias",
    "org-service/queryexpression/join-tables",
)
def test_columns_of_a_link_come_under_its_alias(found, rows):
    link = replace(PRIMARY, columns=("lastname", "parentcustomerid", "gendercode"), entity_alias="p")
    [row] = found(accounts_with(link))
    assert row["p.lastname"] == AliasedValue("contact", "lastname", "Mia")
    assert row["p.parentcustomerid"].value == EntityReference("account", rows["Bea"])
    assert (row["p.gendercode"].value, row.formatted_values["p.gendercode"]) == (
        OptionSetValue(2),
        "Female",
    )


def test_a_link_without_an_alias_has_its_tables_name_and_its_place(found):
    mother = LinkEntity("account", "parentaccountid", "accountid", columns=("name",))
    [row] = found(accounts_with(replace(mother, link_entities=(replace(PRIMARY, columns=("lastname",)),))))
    assert (row["name"], row["account1.name"].value, row["contact2.lastname"].value) == ("Cid", "Bea", "Mia")


def test_every_column_of_a_link_may_come(found):
    [row] = found(accounts_with(replace(PRIMARY, columns=None, entity_alias="p")))
    assert {"p.contactid", "p.lastname", "p.createdon"} <= row.keys()


def test_columns_of_the_first_row_have_their_schema_names(found):
    link = replace(CONTACTS, join_operator=Join.MATCH_FIRST_ROW_USING_CROSS_APPLY, columns=("lastname",))
    assert [row["LastName"].value for row in found(accounts_with(link))] == ["Max", "Zoe"]


@pytest.mark.behaviour(
    "Queries", "LinkCriteria filter the linked rows before a LeftOuter join", "org-service/queryexpression/filter-rows"
)
def test_criteria_of_an_outer_link_keep_the_rows_without_a_match(found):
    only = having(("lastname", Op.EQUAL, ("Zoe",)))
    link = replace(CONTACTS, join_operator=Join.LEFT_OUTER, columns=("lastname",), entity_alias="c", link_criteria=only)
    told = [(row["name"], row.get("c.lastname") and row["c.lastname"].value) for row in found(accounts_with(link))]
    assert told == [("Ada", None), ("Bea", None), ("Cid", "Zoe")]


@pytest.mark.behaviour(
    "Queries",
    "A condition's EntityName is the alias of a link, or its table, anywhere in the query",
    "org-service/queryexpression/filter-rows",
)
@pytest.mark.parametrize(
    ("alias", "condition", "expected"),
    [
        ("c", ("lastname", Op.NULL, (), "c"), ["Ada"]),
        (None, ("lastname", Op.NULL, (), "contact"), ["Ada"]),
        ("c", ("lastname", Op.EQUAL, ("Max",), "c"), ["Bea"]),
        ("c", ("name", Op.EQUAL, ("Cid",), "account"), ["Cid"]),
    ],
    ids=["alias", "table", "value", "own table"],
)
def test_a_condition_names_a_link(names, alias, condition, expected):
    link = replace(CONTACTS, join_operator=Join.LEFT_OUTER, entity_alias=alias)
    assert names(accounts_with(link, criteria=having(condition))) == expected


def test_a_links_condition_names_another_link(names):
    primary = replace(PRIMARY, join_operator=Join.LEFT_OUTER, entity_alias="p")
    other = replace(CONTACTS, link_criteria=having(("lastname", Op.NULL, (), "p")))
    assert names(accounts_with(primary, other)) == ["Cid"]


@pytest.mark.behaviour(
    "Queries", "LinkEntity.LinkEntities nest, and Exists may stand in a link", "org-service/queryexpression/join-tables"
)
def test_links_nest(names):
    mother = LinkEntity("account", "parentaccountid", "accountid")
    has_mia = replace(CONTACTS, join_operator=Join.EXISTS, link_criteria=having(("lastname", Op.EQUAL, ("Mia",))))
    has_zoe = replace(has_mia, link_criteria=having(("lastname", Op.EQUAL, ("Zoe",))))
    assert names(accounts_with(replace(mother, link_entities=(has_mia,)))) == ["Cid"]
    assert names(accounts_with(replace(mother, link_entities=(has_zoe,)))) == []


@pytest.mark.behaviour(
    "Queries",
    "Rows are ordered by Orders of a LinkEntity, or by the EntityName of an order",
    "org-service/queryexpression/order-rows",
)
def test_rows_are_ordered_by_a_linked_column(names, found):
    down = (OrderExpression("lastname", OrderType.DESCENDING),)
    link = replace(CONTACTS, columns=("lastname",), entity_alias="c")
    by_link = QueryExpression("account", ("name",), link_entities=(replace(link, orders=down),))
    by_name = replace(by_link, link_entities=(link,), orders=(replace(down[0], entity_name="c"),))
    for query in (by_link, by_name):
        assert [row["c.lastname"].value for row in found(query)] == ["Zoe", "Mia", "Max"]


@pytest.mark.behaviour(
    "Queries", "Distinct makes one row of those that are equal", "org-service/queryexpression/join-tables"
)
def test_distinct_rows_come_once(names):
    assert names(accounts_with(CONTACTS, distinct=True)) == ["Bea", "Cid"]


@pytest.mark.behaviour(
    "Queries", "CompareColumns compares two columns of a row", "org-service/queryexpression/filter-rows"
)
def test_columns_of_a_row_are_compared(names, service, rows):
    service.update(Entity("account", rows["Ada"], {"accountnumber": "Ada"}))
    same = ConditionExpression("name", Op.EQUAL, ("accountnumber",), compare_columns=True)
    assert names(accounts_with(criteria=FilterExpression(conditions=(same,)))) == ["Ada"]


def test_joined_rows_come_in_pages_and_are_counted(service):
    page, names = PagingInfo(2, return_total_record_count=True), []
    first = service.retrieve_multiple(accounts_with(CONTACTS, page_info=page))
    assert (first.more_records, first.total_record_count) == (True, 3)
    second = replace(page, page_number=2, paging_cookie=first.paging_cookie)
    for rows in (first, service.retrieve_multiple(accounts_with(CONTACTS, page_info=second))):
        names += [row["name"] for row in rows]
    assert names == ["Bea", "Bea", "Cid"]


def test_the_first_joined_rows_suffice(names):
    assert names(accounts_with(CONTACTS, top_count=1)) == ["Bea"]


def test_what_becomes_fetchxml_becomes_the_same_expression_again(send):
    link = replace(CONTACTS, columns=("lastname",), entity_alias="c", link_criteria=having(("lastname", Op.NOT_NULL)))
    exists = replace(DAUGHTERS, join_operator=Join.EXISTS, entity_alias="d")
    query = accounts_with(
        link, exists, criteria=having(("lastname", Op.LIKE, ("M%",), "c")), distinct=True, top_count=3
    )
    written = send("QueryExpressionToFetchXml", Query=query)["FetchXml"]
    assert send("FetchXmlToQueryExpression", FetchXml=written)["Query"] == query


def test_an_intersect_table_that_fetchxml_leaves_out_is_a_link(service, send, fetch):
    team = service.create(Entity("team", None, {"name": "Sales"}))
    service.associate("team", team, "teammembership_association", [EntityReference("systemuser", ADMINISTRATOR_ID)])
    xml = (
        "<fetch><entity name='systemuser'><attribute name='systemuserid'/>"
        "<link-entity name='team' alias='t'><attribute name='name'/></link-entity></entity></fetch>"
    )
    query = send("FetchXmlToQueryExpression", FetchXml=xml)["Query"]
    assert query.link_entities[0].link_to_entity_name == "teammembership"
    [row] = service.retrieve_multiple(query)
    assert (row.id, row["t.name"].value) == (ADMINISTRATOR_ID, "Sales")
    assert fetch(xml).entities == [row]


@pytest.mark.parametrize(
    ("query", "fault", "said"),
    [
        (accounts_with(replace(PRIMARY, join_operator=Join.ANY)), InvalidArgument, "AnyAllFilterLinkEntity only"),
        (accounts_where(PRIMARY), InvalidArgument, "must be one of all, any, not all, not any, not 'inner'"),
        (accounts_with(replace(PRIMARY, join_operator=Join.IN, columns=None)), InvalidArgument, "returns no rows"),
        (accounts_with(replace(PRIMARY, entity_alias="1.x")), InvalidArgument, "not a valid alias"),
        (accounts_with(*[replace(PRIMARY, entity_alias="p")] * 2), InvalidArgument, "'p' is used by more than one"),
        (accounts_with(*[PRIMARY] * 16), InvalidArgument, "Number of link entities"),
        (accounts_with(criteria=having(("lastname", Op.NULL, (), "c"))), InvalidArgument, "name or alias 'c'"),
        (accounts_with(replace(PRIMARY, link_to_entity_name="contacts")), EntityNotFound, "contacts"),
        (accounts_with(replace(PRIMARY, link_to_attribute_name="id")), AttributeNotFound, "id"),
        (accounts_with(replace(PRIMARY, columns=("nme",))), AttributeNotFound, "nme"),
        (
            accounts_with(criteria=having(("name", Op.LIKE, ("accountnumber",), None, True))),
            InvalidArgument,
            "compares columns takes one of the operators",
        ),
    ],
)
def test_what_cannot_be_linked_is_refused(service, query, fault, said):
    with pytest.raises(fault, match=said):
        service.retrieve_multiple(query)


@pytest.mark.behaviour(
    "Queries",
    "A RetrieveMultiple step sees the links of a query, and may change them",
    "org-service/queryexpression/join-tables",
)
def test_a_step_changes_the_links(on, service, crm):
    @on("RetrieveMultiple", 20)
    def only_zoe(context):
        query = context.input_parameters["Query"]
        [link] = query.link_entities
        narrower = replace(link, link_criteria=having(("lastname", Op.EQUAL, ("Zoe",))))
        context.input_parameters["Query"] = replace(query, link_entities=(narrower,))

    on("RetrieveMultiple", 40, mode=1)(lambda context: None)
    assert [row["name"] for row in service.retrieve_multiple(accounts_with(CONTACTS))] == ["Cid"]
    crm.run_jobs()
    told = crm.executions[-1].context.input_parameters["Query"]
    assert told.link_entities[0].link_criteria == having(("lastname", Op.EQUAL, ("Zoe",)))
