"""A filtered, ordered page on an indexed column, in a large table against a small one.

Nothing should scan: a page of 50 costs what a page of 50 costs, however many rows there are.

    PYTHONPATH=. python benchmarks/query_pages.py [--rows 1000000]
"""

from __future__ import annotations

import argparse
import sys
from statistics import median
from time import perf_counter

from dataverse_client.types import (
    ConditionExpression,
    ConditionOperator,
    Entity,
    FilterExpression,
    OrderExpression,
    PagingInfo,
    QueryExpression,
)
from runner.emulator.emulator import Emulator
from runner.emulator.seed import ADMINISTRATOR_ID

SMALL = 10_000
PAGE = 50
PAGES = 200
TARGET = 2.0
COLUMN = "new_stripepaymentintentid"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows in the large table")
    rows = parser.parse_args().rows
    small, large = (p50_of_pages(filled(count), count) for count in (SMALL, rows))
    ratio = large / small
    print(f"page of {PAGE}, p50 of {PAGES}: {small * 1e3:.2f} ms of {SMALL:,} rows, {large * 1e3:.2f} ms of {rows:,}")
    print(f"ratio {ratio:.2f}x (target {TARGET}x): {'met' if ratio <= TARGET else 'missed'}")


def filled(count: int) -> Emulator:
    """An environment with ``count`` payments, whose intent ids sort as they were made."""
    emulator = Emulator()
    with emulator.transaction():
        for number in range(count):
            columns = {"new_name": f"Invoice {number}", COLUMN: f"pi_{number:08}"}
            emulator.records.create(Entity("new_payment", attributes=columns), ADMINISTRATOR_ID)
            if number % 100_000 == 0 and sys.stderr.isatty():
                print(f"\r{number:,} of {count:,} rows", end="", file=sys.stderr)
    return emulator


def p50_of_pages(emulator: Emulator, count: int) -> float:
    """Seconds for one page, following the cookie from the middle of the table on."""
    service, cookie, durations = emulator.service(), None, []
    for number in range(PAGES):
        query = QueryExpression(
            "new_payment",
            ("new_name", COLUMN),
            FilterExpression(
                conditions=(ConditionExpression(COLUMN, ConditionOperator.GREATER_EQUAL, (f"pi_{count // 2:08}",)),)
            ),
            orders=(OrderExpression(COLUMN),),
            page_info=PagingInfo(PAGE, number % 50 + 1, cookie),
        )
        began = perf_counter()
        page = service.retrieve_multiple(query)
        durations.append(perf_counter() - began)
        if len(page) != PAGE:
            raise SystemExit(f"page {number} has {len(page)} rows: the measurement is of nothing")
        cookie = page.paging_cookie if number % 50 < 49 else None
    emulator.close()
    return median(durations)


if __name__ == "__main__":
    main()
