"""Threads may share one client."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from dataverse_client.exchange import Answer, Request
from dataverse_client.metadata import MetadataCache

DEFINITION = b'{"LogicalName":"account","EntitySetName":"accounts","PrimaryIdAttribute":"accountid"}'


def test_threads_ask_for_a_tables_metadata_together_but_once():
    asked: list[Request] = []

    def send(request: Request) -> Answer:
        asked.append(request)
        return Answer(request, 200, {}, DEFINITION)

    cache = MetadataCache(send)
    with ThreadPoolExecutor(8) as threads:
        tables = list(threads.map(lambda _: cache.table("account"), range(64)))

    assert {id(table) for table in tables} == {id(tables[0])}
    assert len(asked) == 1


def test_cleared_metadata_is_asked_for_again():
    asked: list[Request] = []
    cache = MetadataCache(lambda request: asked.append(request) or Answer(request, 200, {}, DEFINITION))

    cache.table("account")
    cache.clear()
    cache.table("account")

    assert len(asked) == 2
