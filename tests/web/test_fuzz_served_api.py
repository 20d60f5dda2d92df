"""Whatever a client sends, the answer is an answer: never a 500, never silence.

``FUZZ_EXAMPLES`` says how many requests each test sends.
"""

# ruff: noqa: E501 - samples are kept whole

from __future__ import annotations

import json
import os
import socket
from http.client import HTTPConnection
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from azure_bridge.clock import ManualClock
from runner.emulator.emulator import Emulator
from runner.emulator.seed import ADMINISTRATOR_ID
from runner.web.dataverse.host import application
from runner.web.dataverse.start_page import Facts

API = "/api/data/v9.2/"
ACCOUNT = "11111111-1111-4111-8111-111111111111"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
fuzz = settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

_names = st.sampled_from(
    [
        "name", "revenue", "accountid", "primarycontactid", "primarycontactid@odata.bind", "new_amount", "statuscode",
        "statecode", "ownerid", "ownerid@odata.bind", "createdon", "numberofemployees", "contact_customer_accounts",
        "@odata.type", "@odata.id", "Targets", "transactioncurrencyid@odata.bind", "versionnumber", "SchemaName",
        "LogicalName", "Attributes", "Entities", "KeyAttributes", "DisplayName", "QuerySet", "Lookup", "value",
    ]
)  # fmt: skip
_values = st.sampled_from(
    [
        "x", "", "x" * 5000, -1, 2**31, 2**63, 2**64, 1.5, 1e300, True, None, ACCOUNT, f"/accounts({ACCOUNT})", "/accounts",
        f"/contacts({ACCOUNT})", "$1", "2026-01-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "#Microsoft.Dynamics.CRM.account",
        "accounts(name='x')", "Microsoft.Dynamics.CRM.StringAttributeMetadata", "new_Thing", "new_thing", "\u0000", "🙂",
    ]
)  # fmt: skip
_json = st.recursive(
    _values | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)
_bodies = st.one_of(
    st.dictionaries(_names, _json, max_size=5).map(lambda body: json.dumps(body).encode()),
    st.fixed_dictionaries({"Targets": st.lists(st.dictionaries(_names, _values, max_size=3), max_size=3)}).map(
        lambda body: json.dumps(body).encode()
    ),
    st.sampled_from([b"", b"{", b"[]", b"null", b"\xff", b'{"a":' * 3000, b'{"name":NaN}', b"--b\r\n\r\n--b--"]),
    st.binary(max_size=40),
)
_filters = st.sampled_from(
    [
        "name eq 'x'", "contains(name, 'a') and not (revenue gt 5)", "revenue eq null", "_ownerid_value eq " + ACCOUNT,
        "primarycontactid/lastname eq 'x'", "contact_customer_accounts/any(c:c/lastname eq 'x')", "name eq", "((((", "1 eq 1",
        "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=['a','b'])", "createdon gt 2026-01-01T00:00:00Z",
        "Microsoft.Dynamics.CRM.LastXDays(PropertyName='createdon',PropertyValue=999999999)", "name gt 5 or " * 60 + "name eq 'x'",
        "Microsoft.Dynamics.CRM.Under(PropertyName='accountid',PropertyValue='x')", "accountid eq 'x'", "not not not name eq 'a'",
    ]
)  # fmt: skip
_fetch = st.sampled_from(
    [
        "<fetch><entity name='account'><all-attributes/></entity></fetch>",
        "<fetch aggregate='true'><entity name='account'><attribute name='revenue' alias='r' aggregate='avg'/></entity></fetch>",
        "<fetch page='x' count='-1'><entity name='account'/></fetch>", "<fetch><entity name='nothing'/></fetch>", "<fetch", "",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><fetch><entity name='&b;'/></fetch>", "<fetch count='5' paging-cookie='&lt;x'><entity name='account'/></fetch>",
        "<fetch><entity name='account'><filter><condition attribute='name' operator='in'/></filter></entity></fetch>",
        "<fetch><entity name='account'><link-entity name='contact' from='contactid' to='primarycontactid'><attribute name='x'/></link-entity></entity></fetch>",
    ]
)  # fmt: skip
_sql = st.sampled_from(
    [
        "SELECT name FROM account", "SELECT * FROM account", "SELECT name FROM account WHERE name LIKE '%a' ORDER BY 1",
        "SELECT COUNT(*) FROM account GROUP BY name HAVING COUNT(*) > 1", "DROP TABLE account", "SELECT", "SELECT 1; SELECT 2",
        "SELECT a.name FROM account a LEFT JOIN contact c ON a.primarycontactid = c.contactid", "SELECT TOP -1 name FROM account", "'",
    ]
)  # fmt: skip
_parameters = st.one_of(
    st.sampled_from(
        [
            "$select=name,revenue", "$select=*", "$select=nonsense", "$top=3", "$top=x", "$count=true", "$orderby=name desc,revenue",
            "$expand=primarycontactid($select=fullname),ownerid", "$expand=contact_customer_accounts($top=1;$filter=lastname eq 'x')",
            "$apply=groupby((statuscode),aggregate($count as n))", "$skiptoken=<cookie pagenumber='2'/>", "$deltatoken=1!x", "$id=" + ACCOUNT,
            "@p1='x'", "@p1={\"Criteria\":5}", "tag=x", "$skip=1", "$format=json", "SolutionUniqueName=x", "api-version=9.2",
        ]
    ),
    _filters.map(lambda text: f"$filter={text}"),
    _fetch.map(lambda text: f"fetchXml={text}"),
    _sql.map(lambda text: f"sql={text}"),
)  # fmt: skip
_segments = st.sampled_from(
    [
        "accounts", f"accounts({ACCOUNT})", "accounts(name='x')", "accounts()", "contacts", "new_payments", "systemusers",
        "new_payments(new_stripepaymentintentid='a%2Fb''c')", "name", "$ref", "$count", "$value", "primarycontactid", "_ownerid_value",
        "contact_customer_accounts", "WhoAmI", "WhoAmI()", "RetrieveVersion", "RetrieveMetadataChanges(Query=@p1)", "$metadata", "$batch", "$1",
        "EntityDefinitions", "EntityDefinitions(LogicalName='account')", f"EntityDefinitions({ACCOUNT})", "Attributes", "Keys", "CreateEntities",
        "Attributes(LogicalName='name')", "Microsoft.Dynamics.CRM.PicklistAttributeMetadata", "OptionSet", "GlobalOptionSetDefinitions", "BulkDelete",
        "RelationshipDefinitions", "OneToManyRelationships", "ManyToManyRelationships", "Microsoft.Dynamics.CRM.CreateMultiple", "Microsoft.Dynamics.CRM.UpsertMultiple",
        "Microsoft.Dynamics.CRM.UpdateMultiple", "Microsoft.Dynamics.CRM.DeleteMultiple", "sdkmessageprocessingsteps", "asyncoperations", "plugintracelogs",
        "RetrieveTotalRecordCount(EntityNames=[\"account\"])", "", "%00", "%2e%2e", "(", "'", "accounts(%27)",
    ]
)  # fmt: skip
_headers = st.dictionaries(
    st.sampled_from(
        [
            "Prefer", "If-Match", "If-None-Match", "MSCRMCallerID", "CallerObjectId", "MSCRM.BypassBusinessLogicExecution", "Content-Type",
            "MSCRM.BypassBusinessLogicExecutionStepIds", "OData-MaxVersion", "Accept", "x-ms-client-request-id", "Authorization",
            "MSCRM.SuppressDuplicateDetection", "Consistency", "X-Forwarded-Proto",
        ]
    ),
    st.sampled_from(
        [
            "return=representation", "odata.maxpagesize=1", 'odata.include-annotations="*"', "odata.track-changes", "odata.continue-on-error",
            "*", 'W/"1"', "W/1", "null", ADMINISTRATOR_ID, ACCOUNT, "CustomSync", "application/json", "multipart/mixed; boundary=b", "multipart/mixed",
            "text/plain", "Bearer x", "Bearer ", "4.0", "9", "true", "\xe4\xf6", "https", ",=;", "odata.maxpagesize=99999999999999999999",
        ]
    ),
    max_size=4,
)  # fmt: skip
_methods = st.sampled_from(["GET", "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "get"])


def _address(segments, parameters):
    query = "&".join(quote(each, safe="$=@'(),;:!*/") for each in parameters)
    return quote(API + "/".join(segments), safe="/$=@'(),%") + (f"?{query}" if query else "")


_addresses = st.builds(_address, st.lists(_segments, min_size=1, max_size=3), st.lists(_parameters, max_size=3))


@st.composite
def _batches(draw):
    """A multipart body of some of the same requests, now and then damaged."""
    parts = []
    for number in range(draw(st.integers(0, 4))):
        head = f"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {number}\r\n\r\n"
        request = f"{draw(_methods)} {draw(_addresses)} HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"
        parts.append(head.encode() + request.encode() + draw(_bodies) + b"\r\n")
    body = b"".join(parts) + b"--b--\r\n"
    if draw(st.booleans()):
        body = body.replace(b"--b", b"--c").replace(b"\r\n--c--", b"\r\n--c--\r\n--b--")
        body = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" + body
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 5)) == 0 else body


@pytest.fixture
def port(serve):
    with Emulator(clock=ManualClock()) as emulator:
        app = application(emulator, Facts("simulator", None, require_token=False), max_body=100_000)
        yield int(serve(app).rpartition(":")[2])
        app.close()


def ask(port, method, address, headers, body):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, address, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def is_an_answer(status):
    return status < 500 or status == 501


@fuzz
@given(_methods, _addresses, _headers, _bodies)
def test_every_request_gets_a_proper_answer(port, method, address, headers, body):
    status, answer = ask(port, method, address, headers, body)
    assert is_an_answer(status), answer


@fuzz
@given(_batches(), st.booleans())
def test_every_batch_gets_a_proper_answer(port, body, go_on):
    headers = {
        "Content-Type": "multipart/mixed; boundary=b",
        **({"Prefer": "odata.continue-on-error"} if go_on else {}),
    }
    status, answer = ask(port, "POST", f"{API}$batch", headers, body)
    assert is_an_answer(status), answer
    assert b"HTTP/1.1 500" not in answer


@fuzz
@given(
    st.sampled_from(["", "GET / HTTP/1.1\r\nHost: localhost\r\n", f"POST {API}accounts HTTP/1.1\r\nHost: [\r\n"]),
    st.binary(max_size=60),
)
def test_no_bytes_stop_the_server(port, start, rest):
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(start.encode() + rest)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"HTTP/1.1 500" not in answer
    assert ask(port, "GET", f"{API}WhoAmI", {}, b"")[0] == 200
