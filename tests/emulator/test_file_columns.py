"""File columns: their files are uploaded in blocks, belong to their row, and end with it."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from datetime import timedelta

import pytest
from small_plugins import Do

from azure_bridge.clock import ManualClock
from dataverse_client.types import Entity, EntityReference, OrganizationRequest, QueryExpression, new_guid
from runner.emulator.emulator import Emulator
from runner.emulator.errors import (
    AttachmentBlocked,
    AttachmentFileSizeTooBig,
    AttributeNotFound,
    EntityNotFound,
    InvalidArgument,
    MethodNotSupported,
    MimeTypeBlocked,
    MimeTypeNotInAllowedList,
    ObjectDoesNotExist,
    OrganizationServiceFault,
)
from runner.execution.step import Image, Step, StepError
from runner.plugin import InvalidPluginExecutionException

RECEIPT = {"type": "File", "schema_name": "new_Receipt", "is_custom": True}
CLAIM = {
    "logical_name": "new_claim",
    "schema_name": "new_Claim",
    "entity_set_name": "new_claims",
    "display_name": "Claim",
    "primary_name": "new_name",
    "columns": {"new_name": {"type": "String", "max_length": 100}, "new_receipt": RECEIPT},
}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def crm(clock):
    """An emulator whose accounts have the file column new_receipt."""
    with Emulator(clock=clock) as crm:
        add_column(crm)
        yield crm


def add_column(crm):
    with crm.customizing() as customizations:
        customizations.create_column("account", "new_receipt", RECEIPT)


@pytest.fixture
def account_in():
    """An account with the column, in another environment."""

    def create(crm):
        add_column(crm)
        return EntityReference("account", crm.service().create(Entity("account")))

    return create


@pytest.fixture
def send(crm):
    def execute(message, **parameters):
        return crm.execute(OrganizationRequest(message, parameters)).results

    return execute


@pytest.fixture
def account(crm):
    return EntityReference("account", crm.service().create(Entity("account", attributes={"name": "Contoso"})))


@pytest.fixture
def begin(send, account):
    """The token of an upload."""

    def initialize(column="new_receipt", name="receipt.pdf", row=None):
        target = row or account
        return send("InitializeFileBlocksUpload", Target=target, FileAttributeName=column, FileName=name)[
            "FileContinuationToken"
        ]

    return initialize


@pytest.fixture
def commit(send):
    def end(token, blocks, name="receipt.pdf", mime_type="application/pdf"):
        facts = {"FileName": name, "MimeType": mime_type, "BlockList": blocks}
        return send("CommitFileBlocksUpload", FileContinuationToken=token, **facts)

    return end


@pytest.fixture
def upload(send, begin, commit):
    """Upload a file of those blocks; returns what its commit does."""

    def run(*contents, **facts):
        token = begin(**facts)
        blocks = [block(number) for number in range(len(contents))]
        for id, content in zip(blocks, contents, strict=True):
            send("UploadBlock", FileContinuationToken=token, BlockId=id, BlockData=content)
        return commit(token, blocks, facts.get("name", "receipt.pdf"))

    return run


@pytest.fixture
def row(crm, account):
    """The account's file column and the column with its name."""
    return lambda: crm.service().retrieve("account", account.id, ["new_receipt", "new_receipt_name"])


@pytest.fixture
def files(crm):
    """The names of all files there are."""
    return lambda: [file["filename"] for file in crm.service().retrieve_multiple(QueryExpression.of("fileattachment"))]


@pytest.fixture
def content(send, account):
    """Download a span of the file."""

    def read(offset=0, length=100):
        file = send("InitializeFileBlocksDownload", Target=account, FileAttributeName="new_receipt")
        token = file["FileContinuationToken"]
        return send("DownloadBlock", FileContinuationToken=token, Offset=offset, BlockLength=length)["Data"]

    return read


@pytest.fixture
def stored(crm):
    """How many blocks the database holds."""
    return lambda: crm.records._store.execute("SELECT count(*) FROM file_block").fetchone()[0]


def block(number):
    return b64encode(f"{number:04}".encode()).decode()


# --- uploading and downloading ---------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Rows", "A file column shows the file's id, and its _name column the file's name", "file-column-data"
)
def test_a_row_shows_its_file(upload, row):
    committed = upload(b"paid")
    assert row()["new_receipt"] == committed["FileId"]
    assert row()["new_receipt_name"] == "receipt.pdf"


@pytest.mark.behaviour(
    "Messages", "CommitFileBlocksUpload joins the uploaded blocks in the order of BlockList", "file-column-data"
)
def test_blocks_are_joined_as_listed(send, begin, commit, content):
    token = begin()
    for number, data in enumerate((b"to ", b"not ", b"be")):
        send("UploadBlock", FileContinuationToken=token, BlockId=block(number), BlockData=data)
    committed = commit(token, [block(1), block(0), block(2)])
    assert committed["FileSizeInBytes"] == 9
    assert content() == b"not to be"


@pytest.mark.behaviour(
    "Messages", "InitializeFileBlocksDownload tells a file's name and size, DownloadBlock its bytes", "file-column-data"
)
def test_a_file_is_downloaded_in_blocks(upload, send, account, content):
    upload(b"abc", b"def", b"gh")
    file = send("InitializeFileBlocksDownload", Target=account, FileAttributeName="new_receipt")
    assert (file["FileName"], file["FileSizeInBytes"], file["IsChunkingSupported"]) == ("receipt.pdf", 8, True)
    assert [content(0, 4), content(4, 4), content(8, 4)] == [b"abcd", b"efgh", b""]


def test_a_block_sent_again_replaces_itself(send, begin, commit, content):
    token = begin()
    for data in (b"lost", b"kept"):
        send("UploadBlock", FileContinuationToken=token, BlockId=block(0), BlockData=data)
    commit(token, [block(0)])
    assert content() == b"kept"


def test_a_block_that_is_not_listed_is_discarded(send, begin, commit, content, stored):
    token = begin()
    for number in range(2):
        send("UploadBlock", FileContinuationToken=token, BlockId=block(number), BlockData=b"data")
    commit(token, [block(1)])
    assert (content(), stored()) == (b"data", 1)


def test_an_empty_file_is_a_file(upload, content, row):
    upload()
    assert row()["new_receipt_name"] == "receipt.pdf"
    assert content() == b""


def test_a_new_file_takes_the_place_of_the_old_one(upload, content, files, stored):
    upload(b"first")
    upload(b"second", name="second.pdf")
    assert (content(), files(), stored()) == (b"second", ["second.pdf"], 1)


def test_an_upload_that_is_never_committed_is_discarded_after_a_week(send, begin, clock, stored):
    send("UploadBlock", FileContinuationToken=begin(), BlockId=block(0), BlockData=b"abandoned")
    clock.advance(timedelta(days=8))
    begin()
    assert stored() == 0


def test_a_file_outlives_its_environment(clock, tmp_path, account_in):
    """given an account with a file in a database, when the database is opened again, then the file is there"""
    with Emulator(database=tmp_path / "kept.db", clock=clock) as crm:
        place = {"Target": account_in(crm), "FileAttributeName": "new_receipt"}
        begun = crm.execute(OrganizationRequest("InitializeFileBlocksUpload", {**place, "FileName": "a.txt"})).results
        end = {"FileName": "a.txt", "MimeType": "text/plain", "BlockList": [], **begun}
        crm.execute(OrganizationRequest("CommitFileBlocksUpload", end))
    with Emulator(database=tmp_path / "kept.db", clock=clock) as crm:
        found = crm.execute(OrganizationRequest("InitializeFileBlocksDownload", place)).results
        assert found["FileName"] == "a.txt"


# --- deleting --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Messages", "DeleteFile deletes a file by its id and empties its column", "file-column-data")
def test_a_file_is_deleted_by_its_id(upload, send, row, files, stored):
    send("DeleteFile", FileId=upload(b"paid")["FileId"])
    assert "new_receipt" not in row()
    assert "new_receipt_name" not in row()
    assert (files(), stored()) == ([], 0)


@pytest.mark.behaviour("Rows", "Setting a file column to null deletes its file", "files-images-overview")
def test_null_deletes_the_file(upload, crm, account, row, stored):
    upload(b"paid")
    crm.service().update(Entity("account", account.id, {"new_receipt": None}))
    assert "new_receipt_name" not in row()
    assert stored() == 0


@pytest.mark.behaviour("Rows", "Deleting a row deletes its files, and nobody else's", "decided")
def test_files_end_with_their_row(upload, crm, account, files, stored):
    upload(b"paid")
    other = EntityReference("account", crm.service().create(Entity("account")))
    upload(b"kept", row=other, name="other.pdf")
    crm.service().delete("account", account.id)
    assert (files(), stored()) == (["other.pdf"], 1)


def test_files_end_with_their_column(upload, crm, files, stored):
    upload(b"paid")
    with crm.customizing() as customizations:
        customizations.delete_column("account", "new_receipt")
    assert (files(), stored()) == ([], 0)
    assert "new_receipt_name" not in crm.metadata.tables["account"].columns


def test_files_end_with_their_table(crm, upload, files, stored):
    with crm.customizing() as customizations:
        customizations.create_table(CLAIM)
    claim = EntityReference("new_claim", crm.service().create(Entity("new_claim")))
    upload(b"evidence", row=claim)
    with crm.customizing() as customizations:
        customizations.delete_table("new_claim")
    assert (files(), stored()) == ([], 0)


# --- the transaction -------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Transactions", "A file whose Update step refuses it is rolled back, and the one before it stays", "decided"
)
def test_a_refused_file_leaves_the_one_before(crm, upload, content, row, files):
    before = upload(b"before")

    def refuse(context):
        raise InvalidPluginExecutionException("Not this one.")

    crm.register(Step(plugin=Do(refuse), message="Update", entity="account", stage=40))
    with pytest.raises(OrganizationServiceFault, match="Not this one"):
        upload(b"after", name="after.pdf")
    assert row()["new_receipt"] == before["FileId"]
    assert (content(), files()) == (b"before", ["receipt.pdf"])


def test_a_deletion_is_rolled_back_with_everything_else(crm, upload, account, content):
    upload(b"paid")
    with suppress(InterruptedError), crm.transaction():
        crm.service().delete("account", account.id)
        raise InterruptedError
    assert content() == b"paid"


def test_a_refused_null_leaves_the_file(crm, upload, account, content):
    """The deletion of the file and the Update are one transaction, though no step is registered."""
    upload(b"paid")
    with pytest.raises(OrganizationServiceFault):
        crm.service().update(Entity("account", account.id, {"new_receipt": None, "no_such_column": 1}))
    assert content() == b"paid"


def test_a_snapshot_has_the_files(crm, upload, content):
    upload(b"paid")
    snapshot = crm.snapshot()
    upload(b"changed")
    crm.restore(snapshot)
    assert content() == b"paid"


# --- what plug-ins see -----------------------------------------------------------------------------------------


@pytest.mark.behaviour("Context", "A new file runs the steps of Update that filter on its column", "decided")
def test_a_new_file_is_an_update_of_its_column(crm, upload, account):
    seen = []

    def look(context):
        parent = context.parent_context
        seen.append((context.target.attributes, context.pre_entity_images["old"].attributes, parent.message_name))

    old = Image("old", "pre", ("new_receipt",))
    step = Step(
        plugin=Do(look),
        message="Update",
        entity="account",
        stage=20,
        filtering_attributes=frozenset({"new_receipt"}),
        images=(old,),
    )
    first = upload(b"first")
    crm.register(step)
    crm.service().update(Entity("account", account.id, {"name": "Fabrikam"}))
    second = upload(b"second")

    [(target, before, parent)] = seen
    assert target["new_receipt"] == second["FileId"]
    assert before["new_receipt"] == first["FileId"]
    assert parent == "CommitFileBlocksUpload"


def test_a_new_file_is_told_to_asynchronous_steps_of_a_later_process(clock, tmp_path, account_in):
    """given a job of an uploaded file, when another process opens the database, then the job has the file's id"""
    seen = []
    look = Do(lambda context: seen.append(context.target))
    step = Step(plugin=look, message="Update", entity="account", stage=40, mode=1)
    with Emulator([step], database=tmp_path / "crm.db", clock=clock) as crm:
        place = {"Target": account_in(crm), "FileAttributeName": "new_receipt"}
        begun = crm.execute(OrganizationRequest("InitializeFileBlocksUpload", {**place, "FileName": "a.txt"})).results
        end = {"FileName": "a.txt", "MimeType": "text/plain", "BlockList": [], **begun}
        file_id = crm.execute(OrganizationRequest("CommitFileBlocksUpload", end)).results["FileId"]
    with Emulator([step], database=tmp_path / "crm.db", clock=clock) as crm:
        crm.run_jobs()
    assert [target["new_receipt"] for target in seen] == [file_id]


def test_a_plug_in_reads_the_file_of_its_row(crm, upload):
    read = []

    def look(context):
        row = EntityReference("account", context.primary_entity_id)
        place = {"Target": row, "FileAttributeName": "new_receipt"}
        file = context.organization.execute(OrganizationRequest("InitializeFileBlocksDownload", place)).results
        part = {"FileContinuationToken": file["FileContinuationToken"], "Offset": 0, "BlockLength": 100}
        read.append(context.organization.execute(OrganizationRequest("DownloadBlock", part)).results["Data"])

    crm.register(Step(plugin=Do(look), message="Update", entity="account", stage=40))
    upload(b"paid")
    assert read == [b"paid"]


@pytest.mark.behaviour(
    "Registration", "No step runs on fileattachment; it runs on the row's Update", "reference/entities/fileattachment"
)
@pytest.mark.parametrize("message", ["Create", "Update", "Delete", "RetrieveMultiple"])
def test_no_step_listens_to_the_table_of_files(crm, message):
    with pytest.raises(StepError, match="fileattachment"):
        crm.register(Step(plugin=Do(print), message=message, entity="fileattachment", stage=40))


# --- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Errors", "A file column's value can be set neither by Create nor by Update, only null can", "file-column-data"
)
def test_the_value_cannot_be_set(crm, upload, account, files):
    taken = upload(b"paid")["FileId"]
    service = crm.service()
    for id in (new_guid(), taken):
        with pytest.raises(InvalidArgument, match="new_receipt"):
            service.create(Entity("account", attributes={"new_receipt": id}))
        other = service.create(Entity("account", attributes={"new_receipt": None}))
        with pytest.raises(InvalidArgument, match="new_receipt"):
            service.update(Entity("account", other, {"new_receipt": id}))
    assert files() == ["receipt.pdf"]


def test_a_row_written_back_as_it_was_read_keeps_its_file(crm, upload, account, content):
    upload(b"paid")
    service = crm.service()
    service.update(service.retrieve("account", account.id, ["new_receipt", "new_receipt_name"]))
    assert content() == b"paid"


def test_the_id_of_a_file_may_be_spelled_in_any_way(crm, upload, account, row):
    id = upload(b"paid")["FileId"]
    crm.service().update(Entity("account", account.id, {"new_receipt": id.upper()}))
    assert row()["new_receipt"] == id


@pytest.mark.behaviour(
    "Errors", "A file larger than its column's MaxSizeInKB is refused with 0x80044a02", "file-column-data"
)
def test_a_file_can_be_too_big(crm, upload, row):
    with crm.customizing() as customizations:
        customizations.update_column("account", "new_receipt", {"max_size_in_kb": 1})
    upload(bytes(1024))
    with pytest.raises(AttachmentFileSizeTooBig, match="too big"):
        upload(bytes(1000), bytes(25))


@pytest.mark.behaviour(
    "Errors", "An extension in the organization's blockedattachments is refused with 0x80043e09", "file-attributes"
)
@pytest.mark.parametrize("name", ["run.exe", "RUN.EXE", "invoice.pdf.js"])
def test_extensions_are_blocked(begin, commit, name):
    with pytest.raises(AttachmentBlocked):
        begin(name=name)
    token = begin()
    with pytest.raises(AttachmentBlocked):
        commit(token, [], name=name)


@pytest.mark.behaviour(
    "Errors", "MIME types can be blocked (0x80072522), or all but some be (0x80072521)", "file-attributes"
)
def test_mime_types_are_blocked_or_allowed(crm, begin, commit):
    organization = crm.service().retrieve_multiple(QueryExpression.of("organization")).entities[0]
    with pytest.raises(MimeTypeBlocked, match=r"image/svg\+xml is blocked"):
        commit(begin(), [], mime_type="image/svg+xml")
    crm.service().update(Entity("organization", organization.id, {"allowedmimetypes": "image/png;image/svg+xml"}))
    commit(begin(), [], mime_type="image/svg+xml")
    with pytest.raises(MimeTypeNotInAllowedList, match="application/pdf is not in the allow list"):
        commit(begin(), [])


@pytest.mark.behaviour(
    "Errors",
    "A block's id is Base64 of at most 64 bytes, and as long as the others; a block has 4 MB at most",
    "file-column-data",
)
@pytest.mark.parametrize(
    ("id", "data", "match"),
    [
        ("no base64!", b"", "Base64"),
        ("", b"", "1 to 64"),
        (b64encode(bytes(65)).decode(), b"", "1 to 64"),
        (b64encode(b"longer id").decode(), b"", "same length"),
        (block(1), bytes(4 * 1024 * 1024 + 1), "4194304 bytes or less"),
    ],
    ids=["not base64", "empty", "too long", "another length", "too much data"],
)
def test_blocks_have_rules(send, begin, id, data, match):
    token = begin()
    send("UploadBlock", FileContinuationToken=token, BlockId=block(0), BlockData=b"first")
    with pytest.raises(InvalidArgument, match=match):
        send("UploadBlock", FileContinuationToken=token, BlockId=id, BlockData=data)


def test_a_commit_lists_only_uploaded_blocks(begin, commit):
    with pytest.raises(InvalidArgument, match="not uploaded"):
        commit(begin(), [block(0)])


def test_a_token_ends_with_its_commit(begin, commit):
    token = begin()
    commit(token, [])
    with pytest.raises(InvalidArgument, match="FileContinuationToken"):
        commit(token, [])


def test_an_empty_block_takes_no_place(send, begin, commit, content):
    token = begin()
    for number, data in enumerate((b"", b"Paid", b"")):
        send("UploadBlock", FileContinuationToken=token, BlockId=block(number), BlockData=data)
    assert commit(token, [block(0), block(1), block(2)])["FileSizeInBytes"] == 4
    assert content() == b"Paid"


@pytest.mark.parametrize(("offset", "length", "expected"), [(2**63, 1, b""), (1, 2**70, b"aid"), (2**63 - 1, 9, b"")])
def test_a_span_may_be_beyond_the_end(upload, content, offset, length, expected):
    upload(b"Paid")
    assert content(offset, length) == expected


def test_an_upload_for_a_table_that_was_deleted_cannot_be_committed(crm, begin, commit):
    with crm.customizing() as customizations:
        customizations.create_table(CLAIM)
    token = begin(row=EntityReference("new_claim", crm.service().create(Entity("new_claim"))))
    with crm.customizing() as customizations:
        customizations.delete_table("new_claim")
    with pytest.raises(EntityNotFound):
        commit(token, [])


@pytest.mark.parametrize(
    ("column", "refusal"), [("name", InvalidArgument), ("new_none", AttributeNotFound)], ids=["text", "no column"]
)
def test_only_file_columns_hold_files(begin, column, refusal):
    with pytest.raises(refusal, match=column):
        begin(column=column)


def test_a_file_needs_its_row(begin):
    with pytest.raises(ObjectDoesNotExist):
        begin(row=EntityReference("account", new_guid()))


def test_an_empty_column_has_no_file_to_download(content):
    with pytest.raises(ObjectDoesNotExist, match="No file attachment found for attribute: new_receipt"):
        content()


def test_a_file_is_deleted_once(upload, send):
    id = upload(b"paid")["FileId"]
    send("DeleteFile", FileId=id)
    with pytest.raises(ObjectDoesNotExist):
        send("DeleteFile", FileId=id)


def test_rows_of_files_are_the_platforms_own(crm, upload):
    id = upload(b"paid")["FileId"]
    service = crm.service()
    for refused in (
        lambda: service.create(Entity("fileattachment", attributes={"filename": "a"})),
        lambda: service.update(Entity("fileattachment", id, {"filename": "a"})),
        lambda: service.delete("fileattachment", id),
    ):
        with pytest.raises(MethodNotSupported):
            refused()
