"""Writes the table of docs/compatibility.md from the ``behaviour`` markers of the tests.

    python tests/compatibility/table.py

A marker says under which heading, what Dataverse does, and how that is known:

    @pytest.mark.behaviour("Depth", "A ninth level is refused with 0x80044182", "event-framework")

Tests are read, not run: the table needs nothing but their source.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "compatibility.md"

BEGIN = "<!-- Written by tests/compatibility/table.py from the tests. Change the tests. -->"
END = "<!-- The end of what is written from the tests. -->"

CHAPTERS = (
    "Messages",
    "Order and filtering",
    "Transactions",
    "Context",
    "Shared variables",
    "Images",
    "Depth",
    "Asynchronous jobs",
    "Errors",
    "Bypassing",
    "Rows",
    "Trace log",
    "Registration",
    "Notifications",
    "Queries",
    "Web API",
)

#: How a behaviour is known when Microsoft does not say it.
UNDOCUMENTED = {
    "observed": "observed in captured payloads",
    "common": "commonly observed, not documented",
    "decided": "left open by Dataverse, decided here",
}

_LEARN = "https://learn.microsoft.com/"
#: What a source that is no page of the developer guide begins with.
_MICROSOFTS = (_LEARN, "https://www.microsoft.com/")
_DATA_PLATFORM = f"{_LEARN}power-apps/developer/data-platform/"

#: Pages of Microsoft's Dataverse developer guide that behaviours are taken from.
PAGES = frozenset(
    {
        "api-limits",
        "asynchronous-service",
        "azure-integration",
        "behavior-format-date-time-attribute",
        "best-practices/business-logic/include-filtering-attributes-plugin-registration",
        "bulk-operations",
        "bypass-custom-business-logic",
        "configure-entity-relationship-cascading-behavior",
        "create-auto-number-attributes",
        "custom-api",
        "customapi-table-columns",
        "dataverse-sql-query",
        "define-alternate-keys-entity",
        "event-framework",
        "fetchxml/aggregate-data",
        "fetchxml/count-rows",
        "fetchxml/join-tables",
        "fetchxml/overview",
        "fetchxml/reference/link-entity",
        "fetchxml/reference/operators",
        "fetchxml/select-columns",
        "file-attributes",
        "file-column-data",
        "files-images-overview",
        "handle-exceptions",
        "impersonate-a-user",
        "logging-tracing",
        "optimistic-concurrency",
        "optional-parameters",
        "org-service/entity-operations-create",
        "org-service/entity-operations-retrieve",
        "org-service/entity-operations-update-delete",
        "org-service/execute-multiple-requests",
        "org-service/queryexpression/filter-rows",
        "org-service/queryexpression/join-tables",
        "org-service/queryexpression/order-rows",
        "org-service/queryexpression/overview",
        "org-service/use-executetransaction",
        "org-service/use-messages",
        "query-hierarchical-data",
        "reference/entities/asyncoperation",
        "reference/entities/fileattachment",
        "reference/entities/plugintracelog",
        "reference/entities/sdkmessageprocessingstep",
        "reference/entities/serviceendpoint",
        "reference/entities/transactioncurrency",
        "reference/web-service-error-codes",
        "register-plug-in",
        "register-web-hook",
        "scalable-customization-design/database-transactions",
        "special-update-operation-behavior",
        "transaction-currency-currency-entity",
        "understand-the-data-context",
        "use-alternate-key-create-record",
        "use-alternate-key-reference-record",
        "use-change-tracking-synchronize-data-external-systems",
        "use-upsert-insert-update-record",
        "use-webhooks",
        "webapi/associate-disassociate-entities-using-web-api",
        "webapi/compose-http-requests-handle-errors",
        "webapi/create-entity-web-api",
        "webapi/create-update-entity-definitions-using-web-api",
        "webapi/create-update-entity-relationships-using-web-api",
        "webapi/create-update-optionsets",
        "webapi/execute-batch-operations-using-web-api",
        "webapi/impersonate-another-user-web-api",
        "webapi/merge-entity-using-web-api",
        "webapi/perform-conditional-operations-using-web-api",
        "webapi/query-metadata-web-api",
        "webapi/query/aggregate-data",
        "webapi/query/count-rows",
        "webapi/query/filter-rows",
        "webapi/query/join-tables",
        "webapi/query/order-rows",
        "webapi/query/overview",
        "webapi/query/page-results",
        "webapi/query/select-columns",
        "webapi/query/sql",
        "webapi/reference/addmembersteam",
        "webapi/retrieve-and-execute-predefined-queries",
        "webapi/use-web-api-actions",
        "webapi/use-web-api-functions",
        "write-plug-in",
        "write-plugin-multiple-operation",
    }
)


#: What lets a test not run, or fail without anybody noticing.
_EXCUSES = ("mark.skip", "mark.xfail", "pytest.skip", "pytest.xfail", "importorskip", "unittest.skip")


class MarkerError(ValueError):
    """A marker that no row of the table can be made of. The message says where, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row of the table. ``test`` is what pytest calls it, without the path: ``test_x`` or ``TestX::test_x``."""

    chapter: str
    sentence: str
    source: str
    path: str
    test: str

    @property
    def row(self) -> str:
        return f"| {self.sentence} | {_evidence(self.source)} | [`{self.path}::{self.test}`](../{self.path}) |"


def _evidence(source: str) -> str:
    if source in UNDOCUMENTED:
        return UNDOCUMENTED[source]
    url = source if source.startswith(_MICROSOFTS) else _DATA_PLATFORM + source
    return f"[{url.rpartition('/')[2]}]({url})"


# --- reading ----------------------------------------------------------------------------------------------------


def behaviours(tests: Path = ROOT / "tests") -> list[Behaviour]:
    """Every behaviour a test below ``tests`` is marked with.

    Raises:
      MarkerError: a marker is not understood, or stands where it proves nothing.
    """
    found = [each for path in sorted(tests.rglob("*.py")) for each in _behaviours_in(path, tests.parent)]
    _refuse_repetition(found)
    return found


def _behaviours_in(path: Path, root: Path) -> Iterator[Behaviour]:
    source = path.read_text(encoding="utf-8")
    if "mark.behaviour" not in source:
        return
    where = path.relative_to(root).as_posix()
    tests = list(_tests(ast.parse(source)))
    names = Counter(test.name for test in tests)
    for test in tests:
        for marker in filter(_is_behaviour, test.function.decorator_list):
            place = f"{where}:{marker.lineno}"
            _refuse_what_does_not_run(place, path, test)
            if names[test.name] > 1:
                raise MarkerError(f"{place}: another {test.name} of this module takes its place.")
            yield Behaviour(*_arguments(place, marker), where, test.name)


@dataclass(frozen=True, slots=True)
class _Test:
    """A function, and what else says whether it runs: its class's decorators, and the module's own statements."""

    name: str
    function: ast.FunctionDef | ast.AsyncFunctionDef
    around: tuple[ast.AST, ...]

    @property
    def excuses(self) -> list[str]:
        said = "\n".join(map(ast.unparse, (self.function, *self.around)))
        return [excuse for excuse in _EXCUSES if excuse in said]

    @property
    def does_nothing(self) -> bool:
        """Its body is ``pass``, ``...`` or a docstring."""
        return all(
            isinstance(each, ast.Pass) or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
            for each in self.function.body
        )


def _tests(module: ast.Module) -> Iterator[_Test]:
    own = tuple(node for node in module.body if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr))
    for node in module.body:
        is_class = isinstance(node, ast.ClassDef)
        for member in node.body if is_class else [node]:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{node.name}::{member.name}" if is_class else member.name
                yield _Test(name, member, (*own, *(node.decorator_list if is_class else ())))


def _is_behaviour(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.behaviour"


def _refuse_what_does_not_run(place: str, path: Path, test: _Test) -> None:
    parts = test.name.lower().split("::")
    if not path.name.startswith("test_") or not all(part.startswith("test") for part in parts):
        raise MarkerError(f"{place}: {test.name} is no test that pytest runs, so it proves nothing.")
    if test.does_nothing:
        raise MarkerError(f"{place}: {test.name} does nothing, so it proves nothing.")
    for excuse in test.excuses:
        raise MarkerError(f"{place}: {test.name} may be skipped or fail ({excuse}), so it proves nothing.")


def _arguments(place: str, marker: ast.expr) -> tuple[str, str, str]:
    assert isinstance(marker, ast.Call)
    given = [argument.value for argument in marker.args if isinstance(argument, ast.Constant)]
    match given:
        case [str(chapter), str(sentence), str(source)] if not marker.keywords and len(marker.args) == 3:
            _refuse_unknown(place, "chapter", chapter, CHAPTERS)
            if not source.startswith(_MICROSOFTS):
                _refuse_unknown(place, "source", source, (*UNDOCUMENTED, *PAGES))
            return chapter, sentence, source
    raise MarkerError(f"{place}: a behaviour is three texts: its chapter, what Dataverse does, and how that is known.")


def _refuse_unknown(place: str, what: str, given: str, known: Iterable[str]) -> None:
    if given not in known:
        raise MarkerError(f"{place}: {what} {given!r} is none of {', '.join(sorted(known))}.")


def _refuse_repetition(found: Iterable[Behaviour]) -> None:
    said: dict[str, Behaviour] = {}
    for each in found:
        other = said.setdefault(each.sentence, each)
        if other is not each:
            raise MarkerError(f"{each.path}::{each.test} and {other.path}::{other.test} both say: {each.sentence}")


# --- writing ----------------------------------------------------------------------------------------------------


def table(found: Iterable[Behaviour]) -> str:
    """The table, chapter by chapter, as Markdown."""
    rows: dict[str, list[str]] = {chapter: [] for chapter in CHAPTERS}
    for each in found:
        rows[each.chapter].append(each.row)
    head = "| What Dataverse does | Known from | Shown by |\n|---|---|---|"
    return "\n\n".join(f"## {chapter}\n\n{head}\n" + "\n".join(rows[chapter]) for chapter in CHAPTERS)


def renewed(document: str, found: Iterable[Behaviour]) -> str:
    """The document with the table as it is now in place of the one it holds."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(renewed(DOCUMENT.read_text(encoding="utf-8"), behaviours()), encoding="utf-8")
