"""Many operations travel in one $batch, and each comes back with its own result."""

from __future__ import annotations

import re

import pytest

from dataverse_client.batch import BatchResult, Create, Delete, Retrieve, Update, Upsert
from dataverse_client.errors import (
    ConcurrencyConflictError,
    DataverseUnavailableError,
    InvalidRequestError,
    NotFoundError,
    PluginRefusedError,
    ThrottledError,
    UnexpectedResponseError,
)
from dataverse_client.options import RequestOptions
from dataverse_client.types import Entity, EntityReference

API = "https://contoso.crm.dynamics.com/api/data/v9.2/"
BATCH = f"{API}$batch"


def id_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def account(number: int, **columns: str) -> Entity:
    return Entity("account", id_of(number), columns)


def part(status: str, *headers: str, body: str = "", content_id: int | None = None) -> str:
    outer = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    outer += [f"Content-ID: {content_id}"] if content_id else []
    return "\r\n".join([*outer, "", f"HTTP/1.1 {status}", *headers, "", body])


def multipart(*parts: str, boundary: str = "batchresponse_1") -> str:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"


def change_set(*parts: str) -> str:
    return "Content-Type: multipart/mixed; boundary=changesetresponse_2\r\n\r\n" + multipart(
        *parts, boundary="changesetresponse_2"
    )


def error(code: str, message: str = "No.") -> str:
    return f'{{"error":{{"code":"{code}","message":"{message}"}}}}'


@pytest.fixture
def answer(web):
    """Lets Dataverse answer the next $batch with these parts."""

    def answer(*parts: str, status: int = 200) -> None:
        kind = "multipart/mixed; boundary=batchresponse_1"
        web.post(BATCH, status=status, body=multipart(*parts), content_type=kind)

    return answer


NO_CONTENT = "204 No Content"


def test_each_operation_has_its_own_result(client, answer):
    answer(
        part(NO_CONTENT, f"OData-EntityId: {API}accounts({id_of(1)})"),
        part("412 Precondition Failed", "Content-Type: application/json", body=error("0x80060882")),
        part("404 Not Found", body=error("0x80040217")),
        part("201 Created", body=f'{{"accountid":"{id_of(4)}"}}'),
        part("400 Bad Request", body=error("0x80040265", "Paid already.")),
        part("200 OK", body=f'{{"accountid":"{id_of(6)}","name":"Contoso"}}'),
    )

    created, stale, missing, upserted, refused, read = client.batch(
        [
            Create(Entity("account", None, {"name": "a"})),
            Update(account(2, name="b"), if_match='W/"1"'),
            Delete("account", id_of(3)),
            Upsert(account(4, name="d")),
            Update(account(5, name="e")),
            Retrieve(EntityReference("account", id_of(6)), ("name",)),
        ]
    )

    assert created == BatchResult(id_of(1))
    assert (stale.id, type(stale.error)) == (id_of(2), ConcurrencyConflictError)
    assert (missing.id, type(missing.error)) == (id_of(3), NotFoundError)
    assert upserted == BatchResult(id_of(4), created=True)
    assert (type(refused.error), refused.error.message) == (PluginRefusedError, "Paid already.")
    assert read.entity["name"] == "Contoso"


def test_the_batch_is_written_as_dataverse_reads_it(client, answer, sent):
    answer(part(NO_CONTENT), part(NO_CONTENT))

    client.batch([Update(account(1, name="ä"), if_match="7"), Delete("account", id_of(2))])

    [request] = sent()
    assert request.headers["Prefer"].endswith(",odata.continue-on-error")
    boundary = re.fullmatch(r'multipart/mixed; boundary="(batch_[0-9a-f-]{36})"', request.headers["Content-Type"])[1]
    assert request.body.decode() == (
        f"--{boundary}\r\n"
        "Content-Type: application/http\r\n"
        "Content-Transfer-Encoding: binary\r\n"
        "\r\n"
        f"PATCH /api/data/v9.2/accounts({id_of(1)}) HTTP/1.1\r\n"
        'Prefer: odata.include-annotations="*"\r\n'
        "Content-Type: application/json\r\n"
        'If-Match: W/"7"\r\n'
        "\r\n"
        '{"name":"ä"}\r\n'
        f"--{boundary}\r\n"
        "Content-Type: application/http\r\n"
        "Content-Transfer-Encoding: binary\r\n"
        "\r\n"
        f"DELETE /api/data/v9.2/accounts({id_of(2)}) HTTP/1.1\r\n"
        'Prefer: odata.include-annotations="*"\r\n'
        "\r\n"
        "\r\n"
        f"--{boundary}--\r\n"
    )


def test_options_reach_every_part(client, answer, sent):
    answer(part(NO_CONTENT))

    client.with_options(RequestOptions(tag="t", caller_id=id_of(9))).batch([Delete("account", id_of(1))])

    [request] = sent()
    assert request.headers["MSCRMCallerID"] == id_of(9)
    assert f"accounts({id_of(1)})?tag=t HTTP/1.1\r\n".encode() in request.body
    assert f"\r\nMSCRMCallerID: {id_of(9)}\r\n".encode() in request.body


def test_an_operation_that_cannot_be_written_does_not_stop_the_others(client, answer):
    answer(part(NO_CONTENT))

    *bad, good = client.batch(
        [
            Update(Entity("account", "7", {"name": "x"})),
            Update(account(1, name="x"), if_match='W/"1"\r\nMSCRMCallerID: me'),
            Update(Entity("account", id_of(1), {"number": 2**64})),
            Update(account(2, name="y")),
        ]
    )

    assert [type(result.error) for result in bad] == [InvalidRequestError] * 3
    assert good.succeeded


def test_no_operations_are_no_request(client, sent):
    assert client.batch([]) == []
    assert sent() == []


def test_a_thousand_parts_fill_a_batch(client, answer, sent):
    answer(*[part(NO_CONTENT)] * 1000)
    answer(*[part(NO_CONTENT)] * 2)

    results = client.batch([Delete("account", id_of(n)) for n in range(1002)])

    assert [result.id for result in results] == [id_of(n) for n in range(1002)]
    assert all(result.succeeded for result in results)
    assert [request.body.count(b"DELETE ") for request in sent()] == [1000, 2]


def test_a_batch_that_fails_as_a_whole_fails_every_operation(client, web):
    web.post(BATCH, status=503)

    results = client.batch([Delete("account", id_of(1)), Delete("account", id_of(2))])

    assert [(result.id, type(result.error)) for result in results] == [
        (id_of(1), DataverseUnavailableError),
        (id_of(2), DataverseUnavailableError),
    ]


def test_a_batch_of_repeatable_parts_is_repeated(client, web, answer):
    web.post(BATCH, status=503)
    answer(part("404 Not Found", body=error("0x80040217")), part("412 Precondition Failed", body=error("0x80060882")))

    deleted, updated = client.batch([Delete("account", id_of(1)), Update(account(2, name="x"), if_match="1")])

    assert deleted.succeeded
    assert updated.error.is_repeat


def test_a_batch_with_a_part_that_must_not_be_repeated_is_not(client, web, sent):
    web.post(BATCH, status=503)

    client.batch([Create(Entity("account")), Delete("account", id_of(1))])

    assert len(sent()) == 1


def test_a_change_set_that_may_have_been_done_is_not_repeated(client, web, sent):
    """Its one error would not tell which part an earlier attempt had done."""
    web.post(BATCH, status=503)

    results = client.batch([Delete("account", id_of(1)), Delete("account", id_of(2))], atomic=True)

    assert [type(result.error) for result in results] == [DataverseUnavailableError] * 2
    assert len(sent()) == 1


def test_a_throttled_batch_is_repeated_whatever_it_holds(client, web, answer):
    web.post(BATCH, status=429)
    answer(part(NO_CONTENT, f"OData-EntityId: {API}accounts({id_of(1)})"))

    assert client.batch([Create(Entity("account"))]) == [BatchResult(id_of(1))]


def test_a_part_that_is_throttled_says_how_long_to_wait(client, answer):
    answer(part("204 No Content"), part("429 Too Many Requests", "Retry-After: 7", body=error("0x80072322")))

    done, throttled = client.batch([Update(account(1, name="A")), Update(account(2, name="B"))])

    assert done.succeeded
    assert isinstance(throttled.error, ThrottledError)
    assert throttled.error.retry_after == 7


def test_parts_without_an_answer_may_be_tried_again(client, answer):
    answer(part("400 Bad Request", body=error("0x80048d19")), status=400)

    first, second = client.batch([Delete("account", id_of(1)), Delete("account", id_of(2))])

    assert type(first.error) is InvalidRequestError
    assert second.error.is_transient


def test_a_change_set_is_one_part_of_numbered_parts(client, answer, sent):
    answer(change_set(part(NO_CONTENT, content_id=1), part(NO_CONTENT, content_id=2)))

    results = client.batch([Delete("account", id_of(1)), Delete("account", id_of(2))], atomic=True)

    assert [result.succeeded for result in results] == [True, True]
    text = sent()[0].body.decode()
    assert re.findall(r"Content-ID: (\d)", text) == ["1", "2"]
    assert len(re.findall(r"boundary=\"changeset_", text)) == 1


@pytest.mark.parametrize(
    ("content_id", "request_line"),
    [(None, "POST $batch"), (2, f"DELETE accounts({id_of(2)})")],
    ids=["not said", "by its Content-ID"],
)
def test_the_error_of_a_change_set_names_the_request_that_is_known_to_have_failed(
    client, answer, content_id, request_line
):
    answer(part("400 Bad Request", content_id=content_id, body=error("0x80048d19")), status=400)

    results = client.batch([Delete("account", id_of(1)), Delete("account", id_of(2))], atomic=True)

    assert [str(result.error).partition(": ")[0] for result in results] == [request_line] * 2


def test_a_change_sets_answers_are_matched_by_content_id(client, answer):
    ids = [f"OData-EntityId: {API}accounts({id_of(n)})" for n in (1, 2)]
    answer(change_set(part(NO_CONTENT, ids[1], content_id=2), part(NO_CONTENT, ids[0], content_id=1)))

    results = client.batch([Create(Entity("account")), Create(Entity("account"))], atomic=True)

    assert [result.id for result in results] == [id_of(1), id_of(2)]


def test_a_change_set_that_failed_is_one_error_for_all(client, answer):
    answer(part("412 Precondition Failed", body=error("0x80060882"), content_id=2))

    results = client.batch([Update(account(1, name="x")), Update(account(2, name="y"))], atomic=True)

    assert [type(result.error) for result in results] == [ConcurrencyConflictError] * 2


def test_a_change_set_with_an_unwritable_operation_is_not_sent(client, sent):
    results = client.batch([Delete("account", "7"), Delete("account", id_of(2))], atomic=True)

    assert [type(result.error) for result in results] == [InvalidRequestError] * 2
    assert sent() == []


@pytest.mark.parametrize(
    "operations",
    [[Retrieve(EntityReference("account", id_of(1)))], [Delete("account", id_of(1))] * 1001],
    ids=["a read", "too many"],
)
def test_a_change_set_dataverse_would_refuse_is_refused(client, operations):
    with pytest.raises(InvalidRequestError, match="at most 1000"):
        client.batch(operations, atomic=True)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            'multipart/mixed; boundary="x y"',
            "--x y\nContent-Type: application/http\n\nHTTP/1.1 204 No Content\n\n--x y--",
        ),
        ("Multipart/Mixed;boundary=x", "preamble\r\n--x\r\n\r\nHTTP/2 204\r\n\r\n\r\n--x--\r\nepilogue"),
        ("multipart/mixed; charset=utf-8; boundary=x", "--x\r\ncontent-type: application/http\r\n\r\nHTTP/1.1 204\r\n"),
    ],
    ids=["quoted boundary, bare line feeds", "preamble, no part headers", "cut off after the last part"],
)
def test_unusual_multipart_is_read_all_the_same(client, web, kind, body):
    web.post(BATCH, body=body, content_type=kind)

    assert client.batch([Delete("account", id_of(1))]) == [BatchResult(id_of(1))]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", "{}"),
        ("multipart/mixed", "--x--"),
        ("multipart/mixed; boundary=x", "--x\r\n\r\nno status line\r\n--x--"),
    ],
)
def test_an_answer_that_is_no_batch_is_unexpected(client, web, kind, body):
    web.post(BATCH, body=body, content_type=kind)

    [result] = client.batch([Delete("account", id_of(1))])

    assert type(result.error) is UnexpectedResponseError
