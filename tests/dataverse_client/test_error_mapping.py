"""Every refusal becomes the one error its caller can act on."""

from __future__ import annotations

import json

import pytest

from dataverse_client.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConcurrencyConflictError,
    DataverseError,
    DataverseUnavailableError,
    DuplicateRecordError,
    InvalidRequestError,
    NotFoundError,
    PluginRefusedError,
    ThrottledError,
    UnexpectedResponseError,
    error_from,
)

REQUEST = "PATCH new_payments(1)"


def refusal(status: int, code: str | int | None = None, message: str = "No.", **more: str) -> DataverseError:
    body = json.dumps({"error": {"code": code, "message": message, **more}}).encode()
    return error_from(status, {}, body, request=REQUEST)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "0x80040265", PluginRefusedError),
        (500, "0x80040224", PluginRefusedError),
        (404, "0x80040217", NotFoundError),
        (404, "0x80060891", NotFoundError),
        (404, "", NotFoundError),
        (412, "0x80060882", ConcurrencyConflictError),
        (412, "0x80040237", DuplicateRecordError),
        (412, "0x80060892", DuplicateRecordError),
        (412, "0x80040333", DuplicateRecordError),
        (500, "0x80040333", DuplicateRecordError),
        (412, None, ConcurrencyConflictError),
        (401, None, AuthenticationError),
        (403, "0x80040220", AccessDeniedError),
        (403, "0x8004A110", AccessDeniedError),
        (403, None, AccessDeniedError),
        (429, "0x80072322", ThrottledError),
        (429, "-2147015898", ThrottledError),
        (429, None, ThrottledError),
        (400, "0x80048d19", InvalidRequestError),
        (405, "0x80040227", InvalidRequestError),
        (413, None, InvalidRequestError),
        (408, None, DataverseUnavailableError),
        (503, None, DataverseUnavailableError),
        (500, "0x80044151", DataverseUnavailableError),
        (400, "0x80050202", DataverseUnavailableError),
        (400, "0x80050205", DataverseUnavailableError),
        (500, "0x80040216", UnexpectedResponseError),
        (302, None, UnexpectedResponseError),
    ],
)
def test_code_and_status_choose_the_error(status, code, kind):
    assert type(refusal(status, code)) is kind


def test_codes_are_read_in_any_case():
    assert type(refusal(412, "0X80060882".swapcase())) is ConcurrencyConflictError
    assert refusal(400, "0x8004F507").code == refusal(400, "0x8004f507").code == 0x8004F507


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Bad gateway</html>", b"[]", b'"x"', b"\xff\xfe", b'{"error":"x"}', b"[" * 100_000],
    ids=lambda body: body[:9],
)
def test_a_body_that_is_no_error_json_still_gives_an_error(body):
    error = error_from(502, {"content-type": "text/html"}, body, request=REQUEST)

    assert type(error) is DataverseUnavailableError
    assert "instead of an error message" in str(error)


def test_a_gateways_500_page_means_unavailable():
    assert type(error_from(500, {}, b"<html>", request=REQUEST)) is DataverseUnavailableError


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_may_pass_is_transient(status):
    assert refusal(status).is_transient


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412])
def test_what_will_not_pass_is_not(status):
    assert not refusal(status).is_transient


def test_a_plugins_refusal_keeps_its_status_and_code():
    details = "@Microsoft.PowerApps.CDS.ErrorDetails"

    error = refusal(
        400, "0x80040265", "Paid already.", **{f"{details}.OperationStatus": "1", f"{details}.SubErrorCode": "-7"}
    )

    assert (error.message, error.operation_status, error.sub_error_code) == ("Paid already.", 1, -7)


def test_the_message_names_request_answer_and_request_id():
    body = b'{"error":{"code":"0x80040217","message":"new_payment Does Not Exist"}}'

    error = error_from(404, {"req_id": "42", "x-ms-client-request-id": "7"}, body, request=REQUEST)

    assert str(error) == (
        "PATCH new_payments(1): new_payment Does Not Exist (HTTP 404, code 0x80040217, request id 42)"
    )


def test_throttling_says_how_long_to_wait():
    error = error_from(429, {}, b"", request=REQUEST, retry_after=12.0)

    assert isinstance(error, ThrottledError)
    assert error.retry_after == 12.0
