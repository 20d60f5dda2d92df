"""Files over the Web API: at the column's own URL, whole or in chunks, and by the actions of files."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest

from runner.emulator.webapi import files

ATTRIBUTES = "EntityDefinitions(LogicalName='account')/Attributes"
CLASS = "Microsoft.Dynamics.CRM.FileAttributeMetadata"
CHUNK = 4 * 1024 * 1024
#: Two and a half chunks, in which no two bytes a chunk apart are the same.
LARGE = bytes(range(251)) * (CHUNK * 5 // 2 // 251)
BYTES = {"Content_Type": "application/octet-stream"}


@pytest.fixture(autouse=True)
def receipt_column(crm):
    """Accounts have the file column new_receipt, for 32 MB."""
    assert crm.post(ATTRIBUTES, {"@odata.type": CLASS, "SchemaName": "new_Receipt"}).status == 204


@pytest.fixture
def id(crm):
    return crm.create("accounts", name="Contoso")


@pytest.fixture
def column(id):
    return f"accounts({id})/new_receipt"


@pytest.fixture
def upload(crm, column):
    def send(content, name="receipt.txt", **headers):
        return crm.send("PATCH", column, content, **{**BYTES, "x-ms-file-name": name, **headers})

    return send


@pytest.fixture
def begin(crm, column):
    """The Location of an upload in chunks."""

    def start(name="receipt.txt"):
        begun = crm.send("PATCH", f"{column}?x-ms-file-name={name}", x_ms_transfer_mode="chunked")
        assert begun.status == 200
        return begun.headers["Location"]

    return start


@pytest.fixture
def chunk(crm):
    def send(location, content, start, end):
        span = f"bytes {start}-{end - 1}/{len(content)}"
        return crm.send("PATCH", location, content[start:end], Content_Range=span, **BYTES)

    return send


@pytest.fixture
def download(crm, column):
    return lambda **headers: crm.send("GET", f"{column}/$value", **headers)


@pytest.fixture
def row(crm, id):
    return lambda: crm.get(f"accounts({id})?$select=new_receipt,new_receipt_name")


# --- the column's definition -----------------------------------------------------------------------------------


@pytest.mark.behaviour("Web API", "A file column takes 32 MB unless MaxSizeInKB says otherwise", "file-attributes")
def test_a_file_column_is_defined_and_changed(crm):
    path = f"{ATTRIBUTES}(LogicalName='new_receipt')"
    definition = crm.get(f"{path}/{CLASS}")
    assert definition["MaxSizeInKB"] == 32768
    assert (definition["AttributeType"], definition["AttributeTypeName"]) == ("Virtual", {"Value": "FileType"})

    changed = {"@odata.type": CLASS, "SchemaName": "new_Receipt", "MaxSizeInKB": 10485760}
    assert crm.send("PUT", path, changed).status == 204
    assert crm.get(f"{path}/{CLASS}?$select=MaxSizeInKB")["MaxSizeInKB"] == 10485760


@pytest.mark.parametrize("size", [0, -1, 10485761, "much"])
def test_sizes_have_limits(crm, error_of, size):
    refused = crm.post(ATTRIBUTES, {"@odata.type": CLASS, "SchemaName": "new_Other", "MaxSizeInKB": size})
    assert error_of(refused)[0] == 400
    assert "MaxSizeInKB" in error_of(refused)[2]


def test_an_image_column_is_refused_by_its_type(crm, error_of):
    refused = crm.post(ATTRIBUTES, {"@odata.type": CLASS.replace("File", "Image"), "SchemaName": "new_Photo"})
    assert error_of(refused)[0] == 400
    assert "ImageAttributeMetadata" in error_of(refused)[2]


def test_the_name_column_belongs_to_the_file_column(crm):
    definition = crm.get(f"{ATTRIBUTES}(LogicalName='new_receipt_name')")
    assert (definition["AttributeOf"], definition["IsValidForUpdate"]) == ("new_receipt", False)


# --- in one request --------------------------------------------------------------------------------------------


@pytest.mark.behaviour("Web API", "PATCH of a file column with bytes uploads a file in one request", "file-column-data")
def test_a_file_is_uploaded_in_one_request(upload, row, download):
    assert upload(LARGE).status == 204
    assert row()["new_receipt_name"] == "receipt.txt"
    assert download().body == LARGE


@pytest.mark.behaviour("Web API", "GET of $value downloads the file, with its size, name and type", "file-column-data")
def test_a_file_is_downloaded(upload, download):
    upload(b"paid")
    answer = download()
    assert (answer.status, answer.body) == (200, b"paid")
    assert answer.headers["x-ms-file-size"] == "4"
    assert answer.headers["x-ms-file-name"] == "receipt.txt"
    assert answer.headers["mimetype"] == "text/plain"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="receipt.txt"'
    assert answer.headers["Access-Control-Expose-Headers"] == "x-ms-file-size; x-ms-file-name; mimetype"


def test_the_type_that_is_sent_is_kept(upload, download):
    upload(b"paid", "receipt.unknown")
    assert download().headers["mimetype"] == "application/octet-stream"
    upload(b"paid", "receipt.unknown", Content_Type="application/pdf; charset=binary")
    assert download().headers["mimetype"] == "application/pdf"


@pytest.mark.behaviour(
    "Web API", "The header x-ms-file-name goes before the parameter, which can hold any characters", "file-column-data"
)
def test_a_name_can_have_any_characters(crm, column, row, download):
    named = f"{column}?x-ms-file-name=%E6%B5%8B%E8%AF%95.txt"
    crm.send("PATCH", named, b"paid", **BYTES)
    assert row()["new_receipt_name"] == "测试.txt"
    assert download().headers["Content-Disposition"] == "attachment; filename*=UTF-8''%E6%B5%8B%E8%AF%95.txt"
    crm.send("PATCH", named, b"paid", x_ms_file_name="first.txt", **BYTES)
    assert row()["new_receipt_name"] == "first.txt"


def test_a_name_cannot_break_a_header(crm, column, row, download):
    crm.send("PATCH", f"{column}?x-ms-file-name=a%0D%0AX-Evil:%20%22.txt", b"paid", **BYTES)
    assert row()["new_receipt_name"] == 'a\r\nX-Evil: ".txt'
    assert not any("\n" in value for value in download().headers.values())


def test_a_type_cannot_break_a_header(upload, download):
    upload(b"paid", "receipt.unknown", Content_Type="text/plain\r\nX-Evil: 1")
    assert download().headers["mimetype"] == "application/octet-stream"


def test_a_file_needs_a_name(crm, column, error_of):
    assert error_of(crm.send("PATCH", column, b"paid", **BYTES))[:2] == (400, "0x80060888")


def test_a_file_too_big_leaves_nothing(crm, upload, row, error_of):
    crm.send(
        "PUT", f"{ATTRIBUTES}(LogicalName='new_receipt')", {"@odata.type": CLASS, "SchemaName": "x_x", "MaxSizeInKB": 1}
    )
    assert error_of(upload(bytes(1025))) == (400, "0x80044a02", "Attachment file size is too big.")
    assert row()["new_receipt"] is None


def test_a_blocked_file_leaves_nothing(upload, row, error_of):
    assert error_of(upload(b"MZ", "setup.exe"))[:2] == (400, "0x80043e09")
    assert row()["new_receipt"] is None


def test_a_row_that_is_not_there_gets_no_file(crm):
    path = "accounts(11111111-1111-1111-1111-111111111111)/new_receipt"
    assert crm.send("PATCH", path, b"paid", x_ms_file_name="a.txt", **BYTES).status == 404


def test_only_file_columns_take_bytes(crm, id):
    assert crm.send("PATCH", f"accounts({id})/name", b"paid", x_ms_file_name="a.txt", **BYTES).status == 405


@pytest.mark.parametrize("is_change_set", [True, False], ids=["in a change set", "alone"])
def test_a_file_is_uploaded_in_a_batch(crm, column, row, download, is_change_set):
    """The bytes may hold line ends, and what looks like a boundary."""
    content = b"\r\n--b\r\n\x00\xff\r\n\r\n"
    lines = (
        b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\n"
        b"PATCH /api/data/v9.2/" + column.encode() + b" HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"
        b"x-ms-file-name: receipt.txt\r\n\r\n" + content + b"\r\n"
    )
    part = b"--batch_of_files\r\n" + lines + b"--batch_of_files--\r\n"
    if is_change_set:
        inner = b"--changes_of_files\r\n" + lines + b"--changes_of_files--\r\n"
        opening = b"--batch_of_files\r\nContent-Type: multipart/mixed; boundary=changes_of_files\r\n\r\n"
        part = opening + inner + b"\r\n--batch_of_files--\r\n"
    answer = crm.send("POST", "$batch", part, Content_Type="multipart/mixed; boundary=batch_of_files")
    assert b"HTTP/1.1 204" in answer.body, answer.body
    assert download().body == content


# --- in chunks -------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Web API", "x-ms-transfer-mode: chunked begins an upload: Location, and chunks of 4 MB", "file-column-data"
)
def test_an_upload_in_chunks_begins(crm, column):
    begun = crm.send("PATCH", f"{column}?x-ms-file-name=25mb.pdf", x_ms_transfer_mode="chunked")
    assert (begun.status, begun.body) == (200, b"")
    assert f"/api/data/v9.2/{column}?sessiontoken=" in begun.headers["Location"]
    assert begun.headers["x-ms-chunk-size"] == "4194304"
    assert begun.headers["Accept-Ranges"] == "bytes"


@pytest.mark.behaviour("Web API", "Chunks are answered with 206, the last with 204", "file-column-data")
def test_a_file_is_uploaded_in_chunks(begin, chunk, download, row):
    location, size = begin("25mb.pdf"), len(LARGE)
    spans = [(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
    assert [chunk(location, LARGE, *span).status for span in spans] == [206, 206, 204]
    assert download().body == LARGE
    assert row()["new_receipt_name"] == "25mb.pdf"


def test_chunks_may_come_in_any_order(begin, chunk, download):
    location = begin()
    statuses = [chunk(location, b"to be or not", *span).status for span in ((6, 12), (3, 6), (0, 3))]
    assert (statuses, download().body) == ([206, 206, 204], b"to be or not")


def test_a_chunk_may_be_larger_than_recommended(begin, chunk, download):
    location, half = begin(), CHUNK + 7
    assert [chunk(location, LARGE, 0, half).status, chunk(location, LARGE, half, len(LARGE)).status] == [206, 204]
    assert download().body == LARGE


def test_chunks_do_not_overlap(begin, chunk, row, error_of):
    location = begin()
    chunk(location, b"to be or not", 0, 6)
    refused = chunk(location, b"to be or not", 3, 12)
    assert error_of(refused)[0] == 400
    assert "overlap" in error_of(refused)[2]
    assert row()["new_receipt"] is None
    assert chunk(location, b"to be or not", 6, 12).status == 204


def test_nothing_shows_before_the_last_chunk(begin, chunk, row):
    chunk(begin(), b"to be", 0, 2)
    assert row()["new_receipt"] is None


@pytest.mark.parametrize("span", ["", "bytes 0-9/4", "bytes 0-1/4", "bytes 3-0/4", "bytes */4", "items 0-3/4"])
def test_a_chunk_says_what_it_is(crm, begin, span, error_of):
    refused = crm.send("PATCH", begin(), b"paid", Content_Range=span, **BYTES)
    assert error_of(refused)[:2] == (400, "0x80060888")
    assert "Content-Range" in error_of(refused)[2]


def test_a_session_is_of_one_row(crm, begin, chunk, error_of):
    other = crm.create("accounts", name="Fabrikam")
    token = begin().partition("?")[2]
    refused = chunk(f"accounts({other})/new_receipt?{token}", b"paid", 0, 4)
    assert "sessiontoken" in error_of(refused)[2]


def test_an_unknown_session_is_refused(chunk, column, error_of):
    assert error_of(chunk(f"{column}?sessiontoken=none", b"paid", 0, 4))[0] == 400


@pytest.mark.behaviour("Web API", "Range downloads a part of a file: 206", "file-column-data")
@pytest.mark.parametrize(
    ("asked", "answered", "body"),
    [
        ("bytes=0-3", "bytes 0-3/10", b"0123"),
        ("bytes=4-7/10", "bytes 4-7/10", b"4567"),
        ("bytes=8-99", "bytes 8-9/10", b"89"),
        ("bytes=8-", "bytes 8-9/10", b"89"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("Bytes=0-3", "bytes 0-3/10", b"0123"),
    ],
)
def test_a_part_is_downloaded(upload, download, asked, answered, body):
    upload(b"0123456789")
    part = download(Range=asked)
    assert (part.status, part.body) == (206, body)
    assert (part.headers["Content-Range"], part.headers["x-ms-file-size"]) == (answered, "10")
    assert part.headers["x-ms-chunk-size"] == "4194304"


def test_a_part_may_span_blocks(upload, download):
    upload(LARGE)
    start, end = CHUNK - 5, 2 * CHUNK + 5
    assert download(Range=f"bytes={start}-{end - 1}").body == LARGE[start:end]


def test_a_part_behind_the_end_is_refused(upload, download):
    upload(b"paid")
    assert download(Range="bytes=4-8").status == 416


@pytest.mark.parametrize("asked", ["pages=1-2", "bytes=2-1", "bytes=0-1,3-3"])
def test_a_range_that_is_none_is_ignored(upload, download, asked):
    upload(b"paid")
    assert (download(Range=asked).status, download(Range=asked).body) == (200, b"paid")


# --- reading and deleting --------------------------------------------------------------------------------------


@pytest.mark.behaviour("Web API", "DELETE of a file column deletes its file", "file-column-data")
def test_a_file_is_deleted(crm, column, upload, row, download):
    upload(b"paid")
    assert crm.delete(column).status == 204
    assert (row()["new_receipt"], row()["new_receipt_name"]) == (None, None)
    assert download().status == 204


@pytest.mark.behaviour("Web API", "A file is uploaded and deleted only if its row is as If-Match says", "decided")
def test_a_file_follows_if_match(crm, id, column, upload, row, error_of):
    seen = row()["@odata.etag"]
    assert upload(b"first", If_Match=seen).status == 204
    for refused in (
        upload(b"second", If_Match=seen),
        crm.send("PATCH", column, If_Match=seen, x_ms_transfer_mode="chunked", x_ms_file_name="second.txt"),
        crm.delete(column, If_Match=seen),
        crm.send("PUT", f"accounts({id})/name", {"value": "Fabrikam"}, If_Match=seen),
    ):
        assert error_of(refused)[:2] == (412, "0x80060882")
    assert upload(b"second", If_Match=row()["@odata.etag"]).status == 204
    assert crm.delete(column, If_Match="*").status == 204


def test_a_download_goes_on_with_the_file_that_took_its_place(upload, download, monkeypatch):
    upload(b"old")
    others, blocks = [b"new"], files._blocks

    def replaced_meanwhile(*arguments):
        if others:
            upload(others.pop())
        return blocks(*arguments)

    monkeypatch.setattr(files, "_blocks", replaced_meanwhile)
    assert (download().status, download().body) == (200, b"new")


def test_the_value_cannot_be_set(crm, column, id, error_of):
    for refused in (
        crm.send("PUT", column, {"value": id}),
        crm.patch(f"accounts({id})", {"new_receipt": id}),
        crm.post("accounts", {"new_receipt": id}),
    ):
        assert error_of(refused)[:2] == (400, "0x80040203")


@pytest.mark.behaviour(
    "Web API", "<table>_FileAttachments expands to the name, type and size of a row's files", "file-column-data"
)
def test_facts_of_files_are_expanded(crm, id, upload, row, clock):
    upload(b"paid")
    facts = "createdon,mimetype,filesizeinbytes,filename,regardingfieldname"
    path = f"accounts({id})?$select=accountid&$expand=account_FileAttachments($select={facts})"
    [file] = crm.get(path)["account_FileAttachments"]
    assert (
        file.items()
        >= {
            "createdon": clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "mimetype": "text/plain",
            "filesizeinbytes": 4,
            "filename": "receipt.txt",
            "regardingfieldname": "new_receipt",
            "fileattachmentid": row()["new_receipt"],
        }.items()
    )


def test_rows_are_found_by_having_a_file(crm, id, upload):
    crm.create("accounts", name="Fabrikam")
    upload(b"paid")
    [found] = crm.get("accounts?$select=name&$filter=new_receipt ne null")["value"]
    assert found["accountid"] == id


# --- by actions ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Web API", "Files are uploaded, downloaded and deleted by actions, in Base64", "file-column-data"
)
def test_a_file_is_uploaded_and_downloaded_by_actions(crm, id, row):
    place = {"Target": {"accountid": id, "@odata.type": "Microsoft.Dynamics.CRM.account"}}
    place["FileAttributeName"] = "new_receipt"
    token = crm.post("InitializeFileBlocksUpload", {**place, "FileName": "a.pdf"}).json()["FileContinuationToken"]
    blocks = [b64encode(text).decode() for text in (b"one", b"two")]
    for block in blocks:
        sent = {"BlockId": block, "BlockData": b64encode(b"paid ").decode(), "FileContinuationToken": token}
        assert crm.post("UploadBlock", sent).status == 204
    end = {"FileName": "a.pdf", "MimeType": "application/pdf", "BlockList": blocks, "FileContinuationToken": token}
    committed = crm.post("CommitFileBlocksUpload", end).json()
    assert committed["@odata.context"].endswith("$metadata#Microsoft.Dynamics.CRM.CommitFileBlocksUploadResponse")
    assert (committed["FileId"], committed["FileSizeInBytes"]) == (row()["new_receipt"], 10)

    begun = crm.post("InitializeFileBlocksDownload", place).json()
    assert (begun["FileName"], begun["FileSizeInBytes"], begun["IsChunkingSupported"]) == ("a.pdf", 10, True)
    part = {"Offset": 3, "BlockLength": 4, "FileContinuationToken": begun["FileContinuationToken"]}
    assert b64decode(crm.post("DownloadBlock", part).json()["Data"]) == b"d pa"

    assert crm.post("DeleteFile", {"FileId": committed["FileId"]}).status == 204
    assert row()["new_receipt"] is None


@pytest.mark.parametrize("target", [None, "accounts", {"accountid": "1"}, {"@odata.type": "#none", "accountid": "1"}])
def test_a_target_is_a_row_with_its_type(crm, error_of, target):
    refused = crm.post("InitializeFileBlocksUpload", {"Target": target, "FileAttributeName": "a", "FileName": "a"})
    assert error_of(refused)[0] == 400
    assert "'Target' must be the row's id and @odata.type" in error_of(refused)[2]


def test_a_block_is_base64(crm, error_of):
    refused = crm.post("UploadBlock", {"BlockId": "MQ==", "BlockData": "no base64!", "FileContinuationToken": "1"})
    assert "'BlockData' must be Base64" in error_of(refused)[2]
