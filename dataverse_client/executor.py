"""Sends operations on rows, singly or in batches, and returns the result of each."""

from __future__ import annotations

from collections.abc import Sequence

from dataverse_client.batch import MAX_PARTS, batch_request, no_answer, read_batch
from dataverse_client.errors import DataverseError, InvalidRequestError
from dataverse_client.exchange import Answer, Request
from dataverse_client.metadata import MetadataCache
from dataverse_client.operations import BatchResult, Operation, Retrieve, subject_id, to_request, to_result
from dataverse_client.options import RequestOptions
from dataverse_client.transport import Transport
from dataverse_client.types import new_guid

#: Dataverse refuses a longer URL, except inside a batch.
#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/webapi/compose-http-requests-handle-errors
MAX_URL = 32_000


class Executor:
    """One transport and one metadata cache, used with one set of options."""

    def __init__(self, transport: Transport, metadata: MetadataCache, options: RequestOptions) -> None:
        self.transport = transport
        self.metadata = metadata
        self.options = options

    def correlation_id(self) -> str:
        """The correlation id for the requests of one call: the caller's own, or a new one."""
        return self.options.correlation_id or new_guid()

    def send(self, request: Request, correlation_id: str | None = None) -> Answer:
        """The answer to ``request``, whatever its status; a GET with a very long URL travels in a batch."""
        request = self.options.apply(request)
        correlation_id = correlation_id or self.correlation_id()
        if request.method != "GET" or len(self.transport.root) + len(request.path) <= MAX_URL:
            return self.transport.send(request, correlation_id=correlation_id)
        answer = self._send_parts([request], False, correlation_id)[0]
        if isinstance(answer, DataverseError):
            raise answer
        return answer

    def perform(self, operation: Operation) -> BatchResult:
        """The result of one operation. Raises its error if it failed."""
        request = to_request(operation, self.metadata.table, self.transport.root)
        result = to_result(operation, self.send(request), self.metadata.table)
        if result.error is not None:
            raise result.error
        return result

    def batch(self, operations: Sequence[Operation], *, atomic: bool = False) -> list[BatchResult]:
        """See :meth:`dataverse_client.client.DataverseClient.batch`."""
        if atomic and (len(operations) > MAX_PARTS or any(isinstance(o, Retrieve) for o in operations)):
            raise InvalidRequestError(f"A change set holds at most {MAX_PARTS} operations, and none that reads")
        correlation_id = self.correlation_id()
        results: list[BatchResult] = []
        for start in range(0, len(operations), MAX_PARTS):
            results += self._batch(operations[start : start + MAX_PARTS], atomic, correlation_id)
        return results

    def _batch(self, operations: Sequence[Operation], atomic: bool, correlation_id: str) -> list[BatchResult]:
        prepared = [self._prepare(operation) for operation in operations]
        unsendable = next((error for error in prepared if isinstance(error, DataverseError)), None)
        if atomic and unsendable is not None:
            return [BatchResult(subject_id(operation), unsendable) for operation in operations]
        answers = iter(self._send_parts([r for r in prepared if isinstance(r, Request)], atomic, correlation_id))
        return [
            self._result(operation, next(answers) if isinstance(request, Request) else request)
            for operation, request in zip(operations, prepared, strict=True)
        ]

    def _prepare(self, operation: Operation) -> Request | DataverseError:
        try:
            return self.options.apply(to_request(operation, self.metadata.table, self.transport.root))
        except DataverseError as error:
            return error

    def _send_parts(self, parts: Sequence[Request], atomic: bool, correlation_id: str) -> list[Answer | DataverseError]:
        """An answer or an error for each part, also when the batch as a whole failed."""
        if not parts:
            return []
        batch = self.options.apply(batch_request(parts, self.transport.root, atomic=atomic))
        try:
            answer = self.transport.send(batch, correlation_id=correlation_id)
            answers = read_batch(answer, parts, self.transport.now(), atomic=atomic)
        except DataverseError as error:
            return [error for _ in parts]
        return [*answers, *(no_answer(part, answer) for part in parts[len(answers) :])]

    def _result(self, operation: Operation, answer: Answer | DataverseError) -> BatchResult:
        if isinstance(answer, DataverseError):
            return BatchResult(subject_id(operation), answer)
        try:
            return to_result(operation, answer, self.metadata.table)
        except DataverseError as error:
            return BatchResult(subject_id(operation), error)
