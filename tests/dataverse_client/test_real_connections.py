"""What `requests` raises on real sockets is told apart rightly: sent, or never sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
from ports import nobody_listens

from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.errors import DataverseUnavailableError
from dataverse_client.retry import RetrySettings, never_sent
from dataverse_client.types import OrganizationRequest

ID = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"
WHO = f'{{"UserId":"{ID}","BusinessUnitId":"{ID}","OrganizationId":"{ID}"}}'
ANSWER = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(WHO)}\r\n\r\n{WHO}".encode()


@contextmanager
def server(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Takes one connection for each answer, reads a request, writes the answer and hangs up."""
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                received.append(connection.recv(65536))
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
        thread.join()


@pytest.fixture
def nobody() -> Iterator[str]:
    with nobody_listens() as url:
        yield url


@pytest.fixture
def connect() -> Iterator[Callable[[str], DataverseClient]]:
    clients: list[DataverseClient] = []

    def connect(url: str) -> DataverseClient:
        clients.append(DataverseClient(url, tokens=NoAuthentication(), retry=RetrySettings(3, back_off=False)))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def test_a_refused_connection_was_never_sent(nobody):
    with pytest.raises(requests.ConnectionError) as refusal, requests.Session() as session:
        session.post(nobody)
    assert never_sent(refusal.value)


def test_a_connection_that_hangs_up_may_have_been_heard():
    with (
        server(b"") as (url, _),
        requests.Session() as session,
        pytest.raises(requests.ConnectionError) as failure,
    ):
        session.post(url)
    assert not never_sent(failure.value)


def test_a_read_is_asked_again_after_hang_ups_and_cut_answers(connect):
    with server(b"", ANSWER[:-10], ANSWER) as (url, received):
        assert connect(url).who_am_i().user_id == ID
    assert len(received) == 3


def test_an_action_is_not_repeated_after_a_hang_up(connect):
    with server(b"") as (url, received), pytest.raises(DataverseUnavailableError, match=r"new_Charge.*1 attempts"):
        connect(url).execute(OrganizationRequest("new_Charge"))
    assert len(received) == 1


def test_an_action_is_repeated_when_nobody_listened(connect, nobody):
    with pytest.raises(DataverseUnavailableError, match="3 attempts"):
        connect(nobody).action("new_Charge")


def test_the_standard_headers_are_sent(connect):
    with server(ANSWER) as (url, received):
        connect(url).who_am_i()
    head = received[0].decode().lower()
    assert head.startswith("get /api/data/v9.2/whoami() http/1.1\r\n")
    for header in ("odata-version: 4.0", "odata-maxversion: 4.0", "accept: application/json", "x-ms-correlation-id: "):
        assert f"\r\n{header}" in head
    assert "authorization" not in head
