"""Every class of mistake has its status, its code and its words; none of them is a 500."""

from __future__ import annotations

import json
import logging
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.emulator.emulator import Emulator
from runner.emulator.webapi import Request, WebApi
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, OperationStatus, Plugin

MISSING = "00000000-0000-0000-0000-00000000dead"


@pytest.mark.behaviour(
    "Web API",
    "Mistakes are answered with Dataverse's status, code and words",
    "webapi/compose-http-requests-handle-errors",
)
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "words"),
    [
        ("GET", f"accounts({MISSING})", None, 404, "0x80040217", "account With Id = .* Does Not Exist"),
        ("GET", "new_payments(new_stripepaymentintentid='x')", None, 404, "0x80060891", "key values does not exist"),
        ("GET", "accounts(name='x')", None, 400, "0x80060890", "name"),
        ("GET", "accounts(nonsense)", None, 400, "0x80060888", "nonsense"),
        ("GET", "nonsense", None, 404, "0x8006088a", "Resource not found for the segment 'nonsense'"),
        ("GET", "accounts/Microsoft.Dynamics.CRM.Nonsense", None, 405, "0x80060888", "GET"),
        ("GET", "accounts?$select=nonsense", None, 400, "0x80060888", "'nonsense'.*account"),
        ("GET", "accounts?$filter=nonsense eq 1", None, 400, "0x80060888", "'nonsense'"),
        ("GET", "accounts?$filter=name eq", None, 400, "0x80060888", "position 7"),
        ("GET", "accounts?$filter=name eq 5", None, 400, "0x80060888", "Edm.String.*Edm.Int32"),
        ("GET", "accounts?$filter=primarycontactid eq 5", None, 400, "0x80060888", "_primarycontactid_value"),
        ("GET", "accounts?$filter=tolower(name) eq 'x'", None, 400, "0x80060888", "a property on one side"),
        ("GET", "accounts?$filter=name", None, 400, "0x80060888", "must be a condition"),
        ("GET", "accounts?$orderby=nonsense", None, 400, "0x80060888", "'nonsense'"),
        ("GET", "accounts?$expand=nonsense", None, 400, "0x80060888", "'nonsense'"),
        ("GET", "accounts?$skip=5", None, 400, "0x80060888", r"\$skip"),
        ("GET", "accounts?$nonsense=5", None, 400, "0x80060888", r"\$nonsense"),
        ("GET", "accounts?$top=1&$top=2", None, 400, "0x80060888", "once"),
        ("POST", "accounts", b"{", 400, "0x80060888", "JSON"),
        ("POST", "accounts", b"[]", 400, "0x80060888", "JSON object"),
        ("POST", "accounts", b'{"name":"\\ud800"}', 400, "0x80060888", "JSON"),
        ("POST", "accounts", b'{"name":"\xed\xa0\x80"}', 400, "0x80060888", "JSON"),
        ("POST", "accounts", {"nonsense": 1}, 400, "0x80048d19", "'nonsense' does not exist"),
        ("POST", "accounts", {"name": 5}, 400, "0x80048d19", "Edm.String'.*'name'"),
        ("POST", "accounts", {"revenue": "5"}, 400, "0x80048d19", "Edm.Decimal'.*'revenue'"),
        ("POST", "accounts", {"name": "x" * 161}, 400, "0x80044331", "'name'.*'160'"),
        ("POST", "accounts", {"industrycode": 999}, 400, "0x80044330", "industrycode"),
        ("POST", "accounts", {"statecode": 0, "statuscode": 2}, 400, "0x80048408", "tate code"),
        ("POST", "accounts", {"primarycontactid": MISSING}, 400, "0x80048d19", "'primarycontactid@odata.bind'"),
        ("POST", "accounts", {"_primarycontactid_value": MISSING}, 400, "0x80060888", "Navigation properties"),
        ("POST", "accounts", {"Nonsense@odata.bind": "/contacts(x)"}, 400, "0x80048d19", "'Nonsense'"),
        ("POST", "accounts", {"primarycontactid@odata.bind": "/contacts"}, 400, "0x80060888", "/contacts"),
        ("POST", "accounts", {"primarycontactid@odata.bind": f"/accounts({MISSING})"}, 400, "0x80048d19", "contact"),
        ("POST", "accounts", {"primarycontactid@odata.bind": f"/contacts({MISSING})"}, 404, "0x80040217", MISSING),
        ("PUT", f"accounts({MISSING})", {}, 405, "0x80060888", "PUT"),
        ("DELETE", f"accounts({MISSING})", None, 404, "0x80040217", MISSING),
        ("PATCH", f"accounts({MISSING})", {"nonsense": 1}, 400, "0x80048d19", "nonsense"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_in_the_platforms_words(crm, error_of, method, path, body, status, code, words):
    response = crm.send(method, path, body)
    error = error_of(response)
    assert error[:2] == (status, code)
    assert re.search(words, error[2])


_PAYLOAD = (
    "Error identified in Payload provided by the user for Entity :'accounts', For more information on this error "
)


@pytest.mark.behaviour(
    "Web API",
    "What is wrong with a body stands behind `InnerException : `",
    "webapi/compose-http-requests-handle-errors",
)
@pytest.mark.parametrize(
    ("body", "inner"),
    [
        (
            {"Name": "x"},
            "Microsoft.Crm.CrmException: Invalid property 'Name' was found in entity 'Microsoft.Dynamics.CRM.",
        ),
        (
            {"creator@odata.bind": "/x(1)"},
            "Microsoft.OData.ODataException: An undeclared property 'creator' which only has",
        ),
        (
            {"name": 5},
            "Microsoft.OData.ODataException: Cannot convert the literal '5' to the expected type 'Edm.String'. "
            "The property is 'name'.",
        ),
        (
            {"@odata.type": "#Microsoft.Dynamics.CRM.contact"},
            "Microsoft.OData.ODataException: A resource with type '#Microsoft.Dynamics.CRM.contact' was found, but",
        ),
    ],
)
def test_clients_find_what_is_wrong_where_they_look_for_it(crm, error_of, body, inner):
    status, code, message = error_of(crm.post("accounts", body))
    assert (status, code) == (400, "0x80048d19")
    assert message.startswith(_PAYLOAD)
    assert message.partition("---->  InnerException : ")[2].startswith(inner)


@pytest.mark.behaviour("Web API", "A date-only column takes no time of day: 400, Edm.Date", "common")
@pytest.mark.parametrize("value", ["1965-05-07T00:00:00Z", "1965-05-07T00:00:00.000Z", "19650507", "1965-W18-5"])
def test_a_date_has_no_time_of_day(crm, error_of, value):
    status, _, message = error_of(crm.post("contacts", {"birthdate": value}))
    assert status == 400
    assert f"Cannot convert the literal '{value}' to the expected type 'Edm.Date'" in message


def test_a_duplicate_id_and_a_duplicate_key_are_told_apart(crm, error_of):
    payment = crm.create("new_payments", new_stripepaymentintentid="pi_1")
    assert error_of(crm.post("new_payments", {"new_paymentid": payment}))[:2] == (412, "0x80040237")
    assert error_of(crm.post("new_payments", {"new_stripepaymentintentid": "pi_1"}))[:2] == (412, "0x80060892")


@pytest.mark.behaviour(
    "Web API", "Impersonating nobody answers 403 with code 0x8004a110", "webapi/impersonate-another-user-web-api"
)
def test_an_unknown_caller_is_refused(crm, error_of):
    assert error_of(crm.send("GET", "WhoAmI", MSCRMCallerID=MISSING))[:2] == (403, "0x8004a110")
    assert error_of(crm.send("GET", "WhoAmI", CallerObjectId="nobody"))[:2] == (403, "0x8004a110")


def test_outside_the_api_there_is_nothing(crm):
    assert crm.send("GET", "http://crm.example/api/data/v8.2/accounts").status == 404


class Refuse(Plugin):
    def execute(self, context):
        context.trace("thinking")
        raise InvalidPluginExecutionException("Not today.", status=OperationStatus.CANCELED, error_code=12345)


class Break(Plugin):
    def execute(self, context):
        raise ZeroDivisionError("secret reason")


def refused_by(plugin, headers=None):
    with Emulator([Step(plugin=plugin, message="Create", entity="account", stage=20)]) as emulator:
        headers = headers or {}
        return WebApi(emulator).handle(Request("POST", "/api/data/v9.2/accounts", headers, b'{"name":"A"}'))


@pytest.mark.behaviour(
    "Web API",
    "InvalidPluginExecutionException answers 400 with code 0x80040265 and the plug-in's message",
    "webapi/compose-http-requests-handle-errors",
)
def test_a_plugins_refusal_is_a_400_in_its_own_words():
    response = refused_by(Refuse())
    assert response.status == 400
    assert response.json() == {"error": {"code": "0x80040265", "message": "Not today."}}


@pytest.mark.behaviour(
    "Web API",
    "With annotations the error carries OperationStatus, SubErrorCode and the trace text",
    "webapi/compose-http-requests-handle-errors",
)
def test_with_all_annotations_the_error_tells_what_else_the_plugin_said():
    error = refused_by(Refuse(), {"Prefer": 'odata.include-annotations="*"'}).json()["error"]
    assert error["@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus"] == "1"
    assert error["@Microsoft.PowerApps.CDS.ErrorDetails.SubErrorCode"] == "12345"
    assert "thinking" in error["@Microsoft.PowerApps.CDS.TraceText"]


@pytest.mark.behaviour(
    "Web API",
    "TraceText is headed by the plug-in and its step",
    "https://learn.microsoft.com/troubleshoot/power-platform/dataverse/dataverse-plug-ins-errors",
)
def test_the_trace_text_says_whose_it_is():
    error = refused_by(Refuse(), {"Prefer": 'odata.include-annotations="*"'}).json()["error"]
    nothing, plugin, step, *lines = error["@Microsoft.PowerApps.CDS.TraceText"].split("\r\n")
    assert plugin == f"[{__name__}: {__name__}.Refuse]"
    assert step.endswith(f": {__name__}:Refuse: Create of account]")
    assert [nothing, *lines] == ["", "", "thinking"]


@pytest.mark.behaviour(
    "Web API",
    "Single annotations of an error can be asked for",
    "webapi/compose-http-requests-handle-errors",
)
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("Microsoft.PowerApps.CDS.ErrorDetails*", {"ErrorDetails.OperationStatus", "ErrorDetails.SubErrorCode"}),
        ("OData.*,Microsoft.PowerApps.CDS.HelpLink", {"HelpLink"}),
        ("OData.Community.Display.V1.FormattedValue", set()),
    ],
)
def test_an_error_carries_the_annotations_asked_for(asked, told):
    error = refused_by(Refuse(), {"Prefer": f'odata.include-annotations="{asked}"'}).json()["error"]
    assert error.keys() == {"code", "message"} | {f"@Microsoft.PowerApps.CDS.{name}" for name in told}


@pytest.mark.behaviour("Web API", "MSCRM.Bypass* headers leave out steps", "bypass-custom-business-logic")
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("MSCRM.BypassBusinessLogicExecution", "CustomSync", 204),
        ("MSCRM.BypassBusinessLogicExecution", "CustomAsync, CustomSync", 204),
        ("MSCRM.BypassBusinessLogicExecution", "CustomAsync", 400),
        ("MSCRM.BypassBusinessLogicExecution", "Everything", 400),
        ("MSCRM.BypassCustomPluginExecution", "true", 204),
    ],
)
def test_a_bypassed_plugin_refuses_nothing(header, value, status):
    assert refused_by(Refuse(), {header: value}).status == status


@pytest.mark.behaviour("Web API", "Any other exception of a plug-in answers 500 with code 0x80040224", "common")
def test_a_broken_plugin_is_an_isv_error():
    response = refused_by(Break())
    assert (response.status, response.json()["error"]["code"]) == (500, "0x80040224")


def test_a_bug_of_ours_is_logged_and_answered_without_its_inside(api, caplog, monkeypatch):
    def broken(request):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(api, "respond", broken)
    with caplog.at_level(logging.ERROR):
        response = api.handle(Request("GET", "/api/data/v9.2/accounts"))
    assert response.status == 500
    assert b"inside" not in response.body
    assert response.headers["REQ_ID"] in caplog.text


# --- whatever a client sends, it is not a 500 ---------------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(
    [
        "name", "revenue", "numberofemployees", "createdon", "statecode", "statuscode", "accountid", "ownerid",
        "ownerid@odata.bind", "primarycontactid", "primarycontactid@odata.bind", "contact_customer_accounts",
        "contact_customer_accounts@odata.bind", "transactioncurrencyid@odata.bind", "overriddencreatedon",
        "@odata.id", "@odata.type", "Targets", "value", "address1_latitude", "donotemail", "exchangerate",
    ]
)  # fmt: skip
_bodies = st.dictionaries(_names, _json | st.just(f"/contacts({MISSING})"), max_size=4)
_segments = st.sampled_from(
    [
        "accounts", "contacts", f"accounts({MISSING})", "accounts(name='x')", "accounts()", "$ref", "$count", "name",
        "primarycontactid", "contact_customer_accounts", "$1", "$batch", "$metadata", "WhoAmI()", "EntityDefinitions",
        "EntityDefinitions(LogicalName='account')", "Attributes", "Attributes(LogicalName='name')", "OptionSet",
        "Microsoft.Dynamics.CRM.CreateMultiple", "Microsoft.Dynamics.CRM.UpsertMultiple", "_ownerid_value", "$value",
        "RelationshipDefinitions", "Microsoft.Dynamics.CRM.StringAttributeMetadata", "Keys", "%", "(", "new_payments",
    ]
)  # fmt: skip
_options = st.sampled_from(
    [
        "$select=name", "$filter=name eq 'x'", "$filter=revenue gt 1e30", "$filter=createdon gt 0001-01-01T00:00:00Z",
        "$orderby=revenue desc,ownerid/fullname", "$top=3", "$count=true", "$expand=primarycontactid,ownerid",
        "$expand=contact_customer_accounts($filter=lastname eq null;$top=1)", "$skiptoken=x", "@p=1",
        "$apply=groupby((statuscode),aggregate($count as n,revenue with sum as m))",
        "$apply=aggregate(name with max as n)",
        "$filter=Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=[{}])", "$filter=@p eq name",
        "$filter=contact_customer_accounts/any(c:c/lastname eq name)", "$id=contacts(x)", "tag=x", "%24filter=%ff",
        "$filter=Microsoft.Dynamics.CRM.LastXYears(PropertyName='createdon',PropertyValue=99999)",
        "$filter=numberofemployees eq 99999999999999999999", "$filter=revenue lt -99999999999999999999999999.5",
        "$filter=createdon lt 9999-12-31T23:59:59-12:00", "$filter=name eq '\x00'", "fetchXml=<", "sql=x",
    ]
)  # fmt: skip


def _requests(body):
    return st.builds(
        lambda method, segments, options, content: Request(
            method, f"/api/data/v9.2/{'/'.join(segments)}?{'&'.join(options)}", {}, content
        ),
        st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE"]),
        st.lists(_segments | st.text(max_size=8), min_size=1, max_size=3),
        st.lists(_options | st.text(max_size=10), max_size=2),
        body,
    )


@settings(max_examples=500)
@given(_requests(_bodies.map(json.dumps).map(str.encode)))
def test_no_request_is_answered_with_a_500(api, request):
    response = api.handle(request)
    assert response.status < 500 or response.status == 501, response.body


@settings(max_examples=200)
@given(_requests(st.binary(max_size=30)), st.text(max_size=20))
def test_no_bytes_are_answered_with_a_500(api, request, header):
    prefer = {"Prefer": header, "If-Match": header, "Content-Type": f"multipart/mixed; boundary={header}"}
    response = api.handle(Request(request.method, request.url, prefer, request.body))
    assert response.status < 500 or response.status == 501, response.body
