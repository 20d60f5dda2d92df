"""The multipart format, as the clients in the field write and read it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.emulator.errors import OrganizationServiceFault
from runner.emulator.webapi.http import Response
from runner.emulator.webapi.multipart import (
    BatchAnswer,
    BatchRequest,
    ChangeSet,
    ChangeSetAnswer,
    read_batch,
    write_multipart,
)


def part(request, *, headers="", end="\r\n"):
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    return end.join([*lines, *([headers] if headers else []), "", request]) + end


def body(*parts, boundary="b", end="\r\n"):
    return ("".join(f"--{boundary}{end}{each}" for each in parts) + f"--{boundary}--{end}").encode()


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("content_type", ["multipart/mixed; boundary=b", 'multipart/mixed;boundary="b"'])
def test_a_request_with_raw_spaces_and_quotes_in_its_url(content_type, end):
    line = "GET http://host/api/data/v9.2/accounts?$filter=name eq 'x y' HTTP/1.1"
    items = read_batch(content_type, body(part(line + end, end=end), end=end))
    assert items == (BatchRequest("GET", "http://host/api/data/v9.2/accounts?$filter=name eq 'x y'", {}, b""),)


def test_a_request_with_headers_and_a_body():
    post = 'POST /api/data/v9.2/accounts HTTP/1.1\r\nContent-Type: application/json; type=entry\r\n\r\n{"name":"é"}'
    (item,) = read_batch("multipart/mixed; boundary=b", body(part(post)))
    assert item.headers == {"content-type": "application/json; type=entry"}
    assert item.body == '{"name":"é"}'.encode()


def test_a_change_set_keeps_its_content_ids():
    inner = body(
        *(part(f"DELETE accounts({n}) HTTP/1.1\r\n\r\n", headers=f"Content-ID: {n}") for n in (1, 2)), boundary="c"
    )
    outer = f"Content-Type: multipart/mixed; boundary=c\r\n\r\n{inner.decode()}"
    (item,) = read_batch("multipart/mixed; boundary=b", body(outer))
    assert isinstance(item, ChangeSet)
    assert [request.content_id for request in item.requests] == ["1", "2"]


def test_a_body_may_begin_with_an_empty_line():
    assert len(read_batch("multipart/mixed; boundary=b", b"\r\n" + body(part("GET x HTTP/1.1\r\n")))) == 1


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b"{}"),
        ("multipart/mixed", b"--b--"),
        ("multipart/mixed; boundary=b", b"no boundary in here"),
        ("multipart/mixed; boundary=b", body(part(""))),
        ("multipart/mixed; boundary=b", body(*[part("GET x HTTP/1.1\r\n")] * 1001)),
        ("multipart/mixed; boundary=b", body(part(f"GET {'x' * 65_537} HTTP/1.1\r\n"))),
    ],
    ids=["not multipart", "no boundary named", "no boundary found", "no request", "too many", "too long"],
)
def test_what_is_no_batch_is_refused(content_type, content):
    with pytest.raises(OrganizationServiceFault) as refused:
        read_batch(content_type, content)
    assert refused.value.http_status == 400


@pytest.mark.parametrize("epilogue", ["bye", "--b\r\n\r\nDELETE accounts HTTP/1.1\r\n\r\n--b--"])
def test_what_follows_the_closing_delimiter_is_no_part(epilogue):
    content = body(part("GET x HTTP/1.1\r\n")) + b"\r\n" + epilogue.encode()
    assert [item.method for item in read_batch("multipart/mixed; boundary=b", content)] == ["GET"]


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(content):
    with contextlib.suppress(OrganizationServiceFault):
        read_batch("multipart/mixed; boundary=b", b"--b\r\n" + content + b"\r\n--b--")


def test_answers_begin_with_the_delimiter_and_carry_status_lines():
    changed = ChangeSetAnswer((BatchAnswer(Response(204, {"OData-Version": "4.0"}), "1"),))
    content_type, written = write_multipart("batchresponse", [changed.part(), BatchAnswer(Response(404)).part()])
    text = written.decode()
    assert content_type.startswith("multipart/mixed; boundary=batchresponse_")
    assert text.startswith("--batchresponse_")
    assert "--changesetresponse_" in text
    assert "Content-ID: 1\r\n\r\nHTTP/1.1 204 No Content\r\nOData-Version: 4.0\r\n\r\n" in text
    assert "HTTP/1.1 404 Not Found\r\n\r\n" in text
