"""The embedded Dataverse for tests: rows by table name, with columns as keyword arguments."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from mimetypes import guess_type
from typing import Any

from dataverse_client.types import Entity, EntityReference, OrganizationRequest, QueryExpression
from runner.emulator.emulator import Emulator, Snapshot
from runner.emulator.errors import EntityNotFound
from runner.emulator.jobs.job import Job
from runner.emulator.messages.files import MAX_BLOCK
from runner.execution.execution import Execution
from runner.execution.step import Step
from runner.simulation.row_input import LookupByName, ResolveLookup, build_row


class Crm:
    """``crm.create("new_payment", name="Invoice 7", amount="49.90", currency="EUR")``.

    Columns go by logical name, or by the short names ``name``, ``amount``, ``currency``, ``customer`` of Payment and
    Sales Order. Values are Dataverse's value types, or texts and numbers that can be converted to the column's type: an
    amount, a choice's label, a currency's ISO code, a customer's name.

    ``emulator`` is the whole environment, for any message, any user, and transactions.
    """

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._service = emulator.service()
        self._named = LookupByName(self._service, emulator.metadata)
        self._known = LookupByName(self._service, emulator.metadata, makes_customers=False)

    # --- rows ----------------------------------------------------------------------------------------------

    def create(self, table: str, columns: Mapping[str, Any] | None = None, /, **more: Any) -> str:
        """Create a row, through the pipeline. Returns its id.

        Raises:
          OrganizationServiceFault: the platform or a synchronous step refused it.
          RowInputError: there is no such column, or it cannot hold the value.
        """
        return self._service.create(self._row(table, {**(columns or {}), **more}, self._named))

    def update(self, table: str, id: str, columns: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Change columns of a row, through the pipeline. Raises as :meth:`create` does."""
        row = self._row(table, {**(columns or {}), **more}, self._named)
        row.id = id
        self._service.update(row)

    def retrieve(self, table: str, id: str, *columns: str) -> Entity:
        """A row. Its ``formatted_values`` hold what a form shows, such as a choice's label.

        Raises:
          ObjectDoesNotExist: there is no such row.
        """
        return self._service.retrieve(table, id, columns or None)

    def find(self, table: str, /, **where: Any) -> list[Entity]:
        """The rows whose columns have these values; without any, all rows.

        Raises:
          RowInputError: there is no such column, it cannot hold the value, or no row has the name a lookup is given.
        """
        wanted = self._row(table, where, self._known).attributes
        return self._service.retrieve_multiple(QueryExpression.of(table, where=wanted)).entities

    def delete(self, table: str, id: str) -> None:
        """Delete a row, through the pipeline."""
        self._service.delete(table, id)

    def _row(self, table: str, values: Mapping[str, Any], resolve: ResolveLookup) -> Entity:
        described = self.emulator.metadata.tables.get(table)
        if described is None:
            raise EntityNotFound.named(table, self.emulator.metadata.tables)
        return build_row(described, values, resolve)

    # --- other messages, and files -------------------------------------------------------------------------

    def execute(self, message: str, /, **parameters: Any) -> Mapping[str, Any]:
        """Send any message, such as a custom API: ``crm.execute("new_Quote", Nights=3)["Quote"]``.

        Parameters and results have Dataverse's types.
        """
        return self.emulator.execute(OrganizationRequest(message, parameters)).results

    def upload(self, table: str, id: str, column: str, content: bytes, name: str = "file.txt") -> None:
        """Upload a file to a column of type File, which runs the steps of Update."""
        place = {"Target": EntityReference(table, id), "FileAttributeName": column}
        token = self.execute("InitializeFileBlocksUpload", **place, FileName=name)["FileContinuationToken"]
        blocks = [content[start : start + MAX_BLOCK] for start in range(0, len(content), MAX_BLOCK)]
        names = [b64encode(f"{number:06}".encode()).decode() for number in range(len(blocks))]
        for block, data in zip(names, blocks, strict=True):
            self.execute("UploadBlock", FileContinuationToken=token, BlockId=block, BlockData=data)
        kind = guess_type(name)[0] or "application/octet-stream"
        self.execute(
            "CommitFileBlocksUpload", FileContinuationToken=token, BlockList=names, FileName=name, MimeType=kind
        )

    def download(self, table: str, id: str, column: str) -> bytes:
        """The content of the file in a column of type File."""
        file = self.execute("InitializeFileBlocksDownload", Target=EntityReference(table, id), FileAttributeName=column)
        token, size = file["FileContinuationToken"], file["FileSizeInBytes"]
        parts = (
            self.execute("DownloadBlock", FileContinuationToken=token, Offset=start, BlockLength=MAX_BLOCK)["Data"]
            for start in range(0, size, MAX_BLOCK)
        )
        return b"".join(parts)

    # --- steps and jobs ------------------------------------------------------------------------------------

    def register(self, step: Step) -> None:
        """Register a step: ``crm.register(Step(plugin=MyPlugin(), message="Create", entity="account", stage=20))``."""
        self.emulator.register(step)

    @property
    def executions(self) -> tuple[Execution, ...]:
        """The executions of steps, in order, each with its ``step``, ``context``, ``lines`` and ``error``."""
        return self.emulator.executions

    @property
    def pending_jobs(self) -> tuple[Job, ...]:
        """The asynchronous steps that wait."""
        return self.emulator.pending_jobs

    def run_jobs(self) -> int:
        """Run the asynchronous steps that wait. Returns how many jobs ended."""
        return self.emulator.run_jobs()

    # --- the whole -----------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """All rows and jobs as they are now, for :meth:`restore`."""
        return self.emulator.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Put back the rows and jobs of a snapshot. Stripe's objects stay as they are."""
        self.emulator.restore(snapshot)
