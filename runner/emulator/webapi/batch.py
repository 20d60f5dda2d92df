"""Answers ``$batch``: many requests in one. The requests of a change set succeed or fail together.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/execute-batch-operations-using-web-api
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from runner.emulator.emulator import Emulator
from runner.emulator.webapi.faults import BadRequest, MethodNotAllowed
from runner.emulator.webapi.http import API_PATH, Address, Request, Response
from runner.emulator.webapi.multipart import (
    BatchAnswer,
    BatchItem,
    BatchRequest,
    ChangeSet,
    ChangeSetAnswer,
    read_batch,
    write_multipart,
)

#: The headers of the batch that apply to every request in it.
_INHERITED = (
    "callerobjectid",
    "mscrmcallerid",
    "mscrm.bypassbusinesslogicexecution",
    "mscrm.bypassbusinesslogicexecutionstepids",
    "mscrm.bypasscustompluginexecution",
    "mscrm.suppressduplicatedetection",
    "user-agent",
)
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)


class Api(Protocol):
    """Who answers the requests of a batch."""

    emulator: Emulator

    def handle(self, request: Request) -> Response:
        """Answer a request; an error is returned as a response."""

    def respond(self, request: Request) -> Response:
        """Answer a request. Raises OrganizationServiceFault when it is refused."""

    def guarded(self, request: Request, work: Callable[[Request], Response]) -> Response:
        """The response of ``work``, or that to the error it raises."""


def answer(api: Api, request: Request, address: Address) -> Response:
    """Carry out a batch. The status of the multipart response is 200, or that of the request where it stopped.

    Raises:
      BadRequest: the body is not a batch.
    """
    if request.method.upper() != "POST":
        raise MethodNotAllowed.of(request.method, "$batch")
    items = read_batch(request.header("content-type") or "", request.body)
    _refuse_batches(items)
    answers: list[BatchAnswer | ChangeSetAnswer] = []
    status = 200
    for item in items:
        answers.append(_answer(api, request, address, item))
        status = _status(answers[-1])
        if status >= 400 and not request.preferences.continue_on_error:
            break
    content_type, body = write_multipart("batchresponse", (item.part() for item in answers))
    overall = 200 if request.preferences.continue_on_error or status < 400 else status
    return Response(overall, {"Content-Type": content_type}, body)


def _refuse_batches(items: Sequence[BatchItem]) -> None:
    """Raises BadRequest, before any request is carried out, when the batch contains a batch."""
    for item in items:
        for each in item.requests if isinstance(item, ChangeSet) else (item,):
            if each.url.partition("?")[0].rstrip("/").endswith("$batch"):
                raise BadRequest("A batch cannot contain another batch.")


def _status(answered: BatchAnswer | ChangeSetAnswer) -> int:
    return answered.response.status if isinstance(answered, BatchAnswer) else 200


def _answer(api: Api, outer: Request, address: Address, item: BatchItem) -> BatchAnswer | ChangeSetAnswer:
    if isinstance(item, ChangeSet):
        return _change_set(api, outer, address, item.requests)
    return BatchAnswer(api.handle(_inner(outer, address, item, None)), item.content_id)


def _change_set(
    api: Api, outer: Request, address: Address, requests: Sequence[BatchRequest]
) -> BatchAnswer | ChangeSetAnswer:
    answers: list[BatchAnswer] = []

    def all_or_none(_: Request) -> Response:
        with api.emulator.transaction():
            answers.extend(_in_turn(api, outer, address, requests))
        return Response(200)

    outcome = api.guarded(outer, all_or_none)
    return ChangeSetAnswer(tuple(answers)) if outcome.status == 200 else BatchAnswer(outcome)


def _in_turn(api: Api, outer: Request, address: Address, requests: Sequence[BatchRequest]) -> list[BatchAnswer]:
    references: dict[str, str] = {}
    answers = []
    for item in requests:
        if item.method == "GET":
            raise BadRequest("A change set cannot contain GET requests. Put them into the batch itself.")
        response = api.respond(_inner(outer, address, item, references))
        if item.content_id is not None and "OData-EntityId" in response.headers:
            references[f"${item.content_id}"] = response.headers["OData-EntityId"]
        versioned = response._replace(headers={"OData-Version": "4.0", **response.headers})
        answers.append(BatchAnswer(versioned, item.content_id))
    return answers


def _inner(outer: Request, address: Address, item: BatchRequest, references: Mapping[str, str] | None) -> Request:
    url = _absolute(address.root, item.url)
    inherited = {name: value for name in _INHERITED if (value := outer.header(name)) is not None}
    return Request(item.method, url, {**inherited, **item.headers}, item.body, outer.user_id, references)


def _absolute(root: str, url: str) -> str:
    if _ABSOLUTE.match(url):
        return url
    if API_PATH.match(url):
        return root[: API_PATH.search(root).start()] + url  # type: ignore[union-attr]  # root always holds it
    return f"{root}/{url.lstrip('/')}"
