"""``$batch`` against the embedded Dataverse: independent requests, change sets, references, errors."""

from __future__ import annotations

import json

import pytest

from runner.emulator.webapi.multipart import read_batch

ROOT = "http://crm.example/api/data/v9.2"
BATCH = "multipart/mixed; boundary=batch_1"


def request(method, url, body=None, *, content_id=None, **headers):
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    lines += [f"Content-ID: {content_id}"] if content_id else []
    lines += [
        "",
        f"{method} {url} HTTP/1.1",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    lines += ["Content-Type: application/json; type=entry", "", json.dumps(body)] if body is not None else ["", ""]
    return "\r\n".join(lines)


def multipart(parts, boundary="batch_1"):
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"


def change_set(*parts):
    return f'Content-Type: multipart/mixed; boundary="changeset_1"\r\n\r\n{multipart(parts, "changeset_1")}'


@pytest.fixture
def batch(crm):
    """Sends parts; answers the response and the (status, text) of each part, change sets flattened."""

    def send(*parts, **headers):
        response = crm.post("$batch", multipart(parts).encode(), Content_Type=BATCH, **headers)
        return response, _statuses(response)

    return send


def _statuses(response):
    lines = response.body.decode().split("\r\n")
    return [int(line.split()[1]) for line in lines if line.startswith("HTTP/1.1 ")]


def names(crm):
    return [row["name"] for row in crm.get("accounts?$select=name&$orderby=name")["value"]]


def test_independent_requests_are_answered_in_their_order(crm, batch):
    account = crm.create("accounts", name="A")
    response, statuses = batch(
        request("POST", f"{ROOT}/accounts", {"name": "B"}),
        request("PATCH", f"/api/data/v9.2/accounts({account})", {"name": "C"}, If_Match="*"),
        request("GET", f"{ROOT}/accounts?$select=name&$filter=name eq 'C' and statecode eq 0"),
        request("DELETE", f"accounts({account})"),
    )
    assert (response.status, statuses) == (200, [204, 204, 200, 204])
    assert response.headers["Content-Type"].startswith("multipart/mixed; boundary=batchresponse_")
    assert b'"name":"C"' in response.body
    assert names(crm) == ["B"]


@pytest.mark.behaviour(
    "Web API",
    "A batch stops at the first failure unless told to continue",
    "webapi/execute-batch-operations-using-web-api",
)
def test_without_continue_on_error_it_stops_at_the_first_failure_with_its_status(crm, batch):
    response, statuses = batch(
        request("POST", "accounts", {"name": "A"}), request("GET", "x"), request("GET", "accounts")
    )
    assert (response.status, statuses) == (404, [204, 404])
    assert names(crm) == ["A"]


def test_with_continue_on_error_every_request_has_its_own_result(crm, batch):
    response, statuses = batch(
        request("POST", "accounts", {"nonsense": 1}),
        request("PATCH", "accounts(00000000-0000-0000-0000-00000000dead)", {"name": "A"}, If_Match="*"),
        request("POST", "accounts", {"name": "B"}),
        Prefer="odata.continue-on-error",
    )
    assert (response.status, statuses) == (200, [400, 404, 204])
    assert names(crm) == ["B"]


class TestChangeSets:
    @pytest.mark.behaviour(
        "Web API", "A change set is one transaction", "webapi/execute-batch-operations-using-web-api"
    )
    def test_count_together(self, crm, batch):
        response, statuses = batch(
            change_set(
                request("POST", f"{ROOT}/accounts", {"name": "A"}, content_id="1"),
                request("POST", f"{ROOT}/accounts", {"name": "B"}, content_id="2"),
            )
        )
        assert (response.status, statuses) == (200, [204, 204])
        assert b"Content-ID: 2" in response.body
        assert response.body.count(b"OData-Version: 4.0") == response.body.count(b"\r\nLocation: ") == 2
        assert b"changesetresponse_" in response.body
        assert names(crm) == ["A", "B"]

    def test_fail_together_in_one_part(self, crm, batch):
        response, statuses = batch(
            change_set(
                request("POST", "accounts", {"name": "A"}, content_id="1"),
                request("POST", "accounts", {"nonsense": 1}, content_id="2"),
            ),
            request("POST", "accounts", {"name": "C"}),
            Prefer="odata.continue-on-error",
        )
        assert (response.status, statuses) == (200, [400, 204])
        assert names(crm) == ["C"]

    @pytest.mark.behaviour(
        "Web API",
        "Requests of a change set refer to rows of earlier ones by `$n`",
        "webapi/execute-batch-operations-using-web-api",
    )
    def test_refer_to_their_own_rows_in_urls_and_bodies(self, crm, batch):
        _, statuses = batch(
            change_set(
                request("POST", f"{ROOT}/accounts", {"name": "A"}, content_id="1"),
                request("PATCH", "$1", {"description": "changed"}, content_id="2", If_Match="*"),
                request(
                    "POST", "contacts", {"lastname": "Doe", "parentcustomerid_account@odata.bind": "$1"}, content_id="3"
                ),
                request("PUT", "$1/primarycontactid/$ref", {"@odata.id": "$3"}, content_id="4"),
            )
        )
        assert statuses == [204] * 4
        (account,) = crm.get("accounts?$select=description&$expand=primarycontactid($select=lastname)")["value"]
        assert (account["description"], account["primarycontactid"]["lastname"]) == ("changed", "Doe")

    def test_a_reference_to_nothing_is_named(self, batch):
        response, _ = batch(change_set(request("PATCH", "$7", {"name": "A"}, content_id="1")))
        assert response.status == 400
        assert b"Content-ID Reference: '$7' does not exist in the batch context." in response.body

    def test_have_content_ids_of_their_own(self, crm, batch):
        twice = [request("POST", "accounts", {"name": name}, content_id="1") for name in "AB"]
        response, _ = batch(change_set(*twice))
        assert (response.status, names(crm)) == (400, [])
        assert b"The content ID '1' was found more than once" in response.body

    def test_a_get_in_a_change_set_is_refused(self, batch):
        assert batch(change_set(request("GET", "accounts", content_id="1")))[0].status == 400


@pytest.mark.parametrize("url", [f"{ROOT}/$batch", "$batch"])
def test_a_batch_in_a_batch_is_refused_before_anything_is_done(crm, batch, url):
    assert batch(request("POST", "accounts", {"name": "A"}), request("POST", url, {}))[0].status == 400
    assert names(crm) == []


def test_a_batch_that_is_none_is_refused_as_json(crm, error_of):
    response = crm.post("$batch", b"{}", Content_Type="application/json")
    assert error_of(response)[0] == 400
    assert crm.send("GET", "$batch").status == 405


def test_the_answer_can_be_read_back_as_multipart(batch):
    response, _ = batch(request("GET", "WhoAmI"), request("GET", "accounts"))
    parts = response.body.decode().replace("HTTP/1.1 200 OK", "GET x HTTP/1.1")
    assert len(read_batch(response.headers["Content-Type"], parts.encode())) == 2


def test_the_caller_of_the_batch_is_the_caller_of_its_requests(crm, batch):
    from runner.emulator.seed import INTEGRATION_USER_ID

    response, _ = batch(request("GET", "WhoAmI"), MSCRMCallerID=INTEGRATION_USER_ID)
    assert INTEGRATION_USER_ID.encode() in response.body


def test_rows_within_rows_are_created_inside_a_change_set_too(crm, batch):
    nested = {"name": "A", "primarycontactid": {"lastname": "Doe", "parentcustomerid_account": {"name": "B"}}}
    _, statuses = batch(
        change_set(
            request("POST", "accounts", nested, content_id="1"),
            request("POST", "accounts", nested, content_id="2"),
        )
    )
    assert statuses == [204, 204]
    assert names(crm) == ["A", "A", "B", "B"]
