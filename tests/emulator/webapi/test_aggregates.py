"""``$apply``: groups, sums and counts."""

from __future__ import annotations

from decimal import Decimal

import pytest


@pytest.fixture
def accounts(crm):
    for name, revenue, status in (("A", 10.25, 1), ("B", 20.5, 1), ("C", 30.75, 2)):
        state = status - 1
        crm.create("accounts", name=name, revenue=revenue, statecode=state, statuscode=status)


def applied(crm, apply, **headers):
    return crm.get(f"accounts?$apply={apply}", **headers)["value"]


@pytest.mark.usefixtures("accounts")
class TestApply:
    def test_groups_alone_are_the_distinct_values(self, crm):
        assert applied(crm, "groupby((statuscode))") == [{"statuscode": 1}, {"statuscode": 2}]

    @pytest.mark.behaviour("Queries", "`$apply` groups and aggregates", "webapi/query/aggregate-data")
    def test_each_group_is_counted_and_summed_exactly(self, crm):
        aggregates = "$count as n,revenue with sum as total,revenue with average as mean"
        active, inactive = applied(crm, f"groupby((statuscode),aggregate({aggregates}))")
        assert active == {"statuscode": 1, "n": 2, "total": Decimal("30.75"), "mean": Decimal("15.375")}
        assert inactive["total"] == Decimal("30.75")

    def test_the_whole_table_is_one_group(self, crm):
        assert applied(crm, "aggregate(revenue with max as most)") == [{"most": Decimal("30.75")}]

    def test_a_filter_comes_first(self, crm):
        assert applied(crm, "filter(name ne 'B')/aggregate(revenue with sum as total)") == [{"total": 41}]

    def test_a_column_behind_a_lookup_is_called_after_its_table(self, crm):
        crm.create("accounts", name="D", revenue=1, primarycontactid={"lastname": "Doe"})
        groups = applied(crm, "filter(revenue lt 5)/groupby((primarycontactid/lastname),aggregate($count as n))")
        assert groups == [{"contact_lastname": "Doe", "n": 1}]

    @pytest.mark.behaviour("Queries", "`$orderby` sorts no aggregates", "webapi/query/aggregate-data")
    def test_groups_are_sorted_by_what_they_are_grouped_by_alone(self, crm, error_of):
        apply = "groupby((statuscode),aggregate($count as n))"
        assert [row["statuscode"] for row in applied(crm, f"{apply}&$orderby=statuscode desc")] == [2, 1]
        status, _, message = error_of(crm.send("GET", f"accounts?$apply={apply}&$orderby=n desc"))
        assert (status, message) == (400, "The query node SingleValueOpenPropertyAccess is not supported")

    def test_values_are_formatted_when_asked_for(self, crm):
        (row,) = applied(crm, "aggregate(revenue with sum as total)", Prefer='odata.include-annotations="*"')
        assert row["total@OData.Community.Display.V1.FormattedValue"] == "$61.50"

    @pytest.mark.parametrize(
        "apply",
        [
            "nonsense",
            "topcount(1)",
            "groupby((createdon))",
            "groupby((nonsense))",
            "groupby(statuscode)",
            "aggregate(revenue with countdistinct as n)",
            "aggregate(name with sum as n)",
            'aggregate($count as n";drop)',
            "aggregate($count as n)/filter(name eq 'A')",
            "groupby((name),aggregate($count as name))",
            "aggregate(revenue with sum as n,revenue with max as n)",
        ],
    )
    def test_what_dataverse_does_not_support_is_refused(self, crm, apply):
        assert crm.send("GET", f"accounts?$apply={apply}").status == 400

    def test_top_takes_the_first_groups(self, crm):
        everything = crm.get("accounts?$apply=groupby((name))&$orderby=name")["value"]
        assert crm.get("accounts?$apply=groupby((name))&$orderby=name&$top=1")["value"] == everything[:1]

    @pytest.mark.parametrize("option", ["$filter=name eq 'A'", "$select=name", "$count=true"])
    def test_an_option_that_would_be_ignored_is_refused(self, crm, option):
        assert crm.send("GET", f"accounts?$apply=groupby((name))&{option}").status == 501
