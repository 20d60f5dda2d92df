"""The start page: what is served, and how to point a client at it, as HTML or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from runner.emulator.emulator import Emulator
from runner.emulator.query.model import Aggregate, Query
from runner.emulator.rows.reading import ReadableRecords
from runner.execution.step import Mode, Step

if TYPE_CHECKING:
    from runner.web.certificate import Certificate

_TEMPLATES = Environment(
    loader=PackageLoader("runner.web.dataverse"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
#: The page holds no script but its own and loads nothing.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSummary:
    logical_name: str
    display_name: str
    entity_set: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    name: str
    plugin: str
    message: str
    table: str | None
    stage: int
    mode: str
    rank: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while it is served."""

    stripe: str
    certificate: Certificate | None
    require_token: bool


class StartPage:
    def __init__(self, emulator: Emulator, facts: Facts) -> None:
        self._emulator = emulator
        self._facts = facts

    async def answer(self, request: Request) -> Response:
        url = str(request.base_url).rstrip("/")
        tables = await run_in_threadpool(tables_of, self._emulator)
        steps = await run_in_threadpool(steps_of, self._emulator)
        addresses = {"url": url, "api": f"{url}/api/data/v9.2"}
        if _prefers_json(request.headers.get("accept", "")):
            listed = {"tables": [asdict(each) for each in tables], "steps": [asdict(each) for each in steps]}
            return JSONResponse({**addresses, **listed})
        template = _TEMPLATES.get_template("start.html")
        page = template.render(**addresses, tables=tables, steps=steps, facts=self._facts)
        return HTMLResponse(page, headers=_HEADERS)


def tables_of(emulator: Emulator) -> list[TableSummary]:
    """Every table with its number of rows, by display name."""
    with emulator.reading() as rows:
        return sorted(_tables(emulator, rows), key=lambda table: table.display_name.casefold())


def _tables(emulator: Emulator, rows: ReadableRecords) -> Iterator[TableSummary]:
    counting = (Aggregate("count", None, "rows"),)
    for table in emulator.metadata.tables.values():
        [counted] = rows.retrieve_multiple(Query(table.logical_name, aggregates=counting))
        yield TableSummary(
            logical_name=table.logical_name,
            display_name=table.display_name,
            entity_set=table.entity_set_name,
            rows=counted["rows"].value,
        )


def steps_of(emulator: Emulator) -> list[StepSummary]:
    """Every registered step in the order of tables, messages, stages and ranks."""
    return [_summary(step) for step in sorted(emulator.steps, key=_pipeline_order)]


def _pipeline_order(step: Step) -> tuple[str, str, int, int, int, str]:
    return step.entity or "", step.message, step.stage, step.mode, step.rank, step.name


def _summary(step: Step) -> StepSummary:
    return StepSummary(
        name=step.name,
        plugin=step.plugin_name,
        message=step.message,
        table=step.entity,
        stage=step.stage,
        mode="async" if step.mode == Mode.ASYNCHRONOUS else "sync",
        rank=step.rank,
    )


def _prefers_json(accept: str) -> bool:
    return "application/json" in accept and "text/html" not in accept
