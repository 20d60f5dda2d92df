"""The table of docs/compatibility.md says what the tests show, no more and no less."""

from __future__ import annotations

import runpy
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

GENERATOR = Path(__file__).with_name("table.py")


@pytest.fixture(scope="module")
def generator() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(GENERATOR)))


@pytest.fixture
def read(generator: SimpleNamespace, tmp_path: Path):
    """The behaviours of one test module, given as text."""

    def behaviours(source: str, name: str = "test_sample.py"):
        tests = tmp_path / "tests"
        tests.mkdir(exist_ok=True)
        (tests / name).write_text(textwrap.dedent(source))
        return generator.behaviours(tests)

    return behaviours


def test_the_document_is_what_the_tests_make_of_it(generator: SimpleNamespace) -> None:
    document = generator.DOCUMENT.read_text(encoding="utf-8")
    command = f"python {GENERATOR.relative_to(generator.ROOT)}"
    assert document == generator.renewed(document, generator.behaviours()), f"The table is stale. Run: {command}"


def test_every_chapter_has_behaviours(generator: SimpleNamespace) -> None:
    assert {each.chapter for each in generator.behaviours()} == set(generator.CHAPTERS)


def test_a_marked_test_is_a_row(read) -> None:
    (behaviour,) = read("""
        @pytest.mark.behaviour("Depth", "Eight levels run", "event-framework")
        def test_depth(): assert depth() == 8
    """)
    page = "[event-framework](https://learn.microsoft.com/power-apps/developer/data-platform/event-framework)"
    proof = "[`tests/test_sample.py::test_depth`](../tests/test_sample.py)"
    assert behaviour.row == f"| Eight levels run | {page} | {proof} |"


def test_a_test_in_a_class_is_named_as_pytest_names_it(read) -> None:
    (behaviour,) = read("""
        class TestDepth:
            @pytest.mark.behaviour("Depth", "Eight levels run", "observed")
            def test_it(self): assert depth() == 8
    """)
    assert behaviour.test == "TestDepth::test_it"
    assert "observed in captured payloads" in behaviour.row


MISTAKES = {
    "a chapter nobody knows": ('"Deep", "It runs", "common"', "def test_it()", "chapter 'Deep' is none of"),
    "a page nobody knows": ('"Depth", "It runs", "event-framwork"', "def test_it()", "source 'event-framwork'"),
    "no source": ('"Depth", "It runs"', "def test_it()", "three texts"),
    "a sentence that is computed": ('"Depth", SENTENCE, "common"', "def test_it()", "three texts"),
    "a function that is no test": ('"Depth", "It runs", "common"', "def help_it()", "no test that pytest runs"),
}


@pytest.mark.parametrize(("arguments", "function", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_marker_that_proves_nothing_is_refused(generator: SimpleNamespace, read, arguments, function, said) -> None:
    with pytest.raises(generator.MarkerError, match=said):
        read(f"@pytest.mark.behaviour({arguments})\n{function}: assert it()")


MARKED = '@pytest.mark.behaviour("Depth", "It runs", "common")\n'
EXCUSES = {
    "skipped": f'@pytest.mark.skip("later")\n{MARKED}def test_it(): assert it()',
    "skipped sometimes": f'@pytest.mark.skipif(SLOW, reason="slow")\n{MARKED}def test_it(): assert it()',
    "expected to fail": f"@pytest.mark.xfail\n{MARKED}def test_it(): assert it()",
    "expected to fail for one value": (
        f'@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.xfail)])\n{MARKED}def test_it(n): assert n'
    ),
    "skipped from within": f'{MARKED}def test_it():\n    pytest.skip("later")',
    "skipped with its class": f"@pytest.mark.skip\nclass TestIt:\n    {MARKED}    def test_it(self): assert it()",
    "skipped with its module": f"pytestmark = pytest.mark.skipif(SLOW)\n\n{MARKED}def test_it(): assert it()",
    "skipped without a package": f'pytest.importorskip("azure")\n\n{MARKED}def test_it(): assert it()',
}


@pytest.mark.parametrize("source", EXCUSES.values(), ids=EXCUSES)
def test_a_test_with_an_excuse_proves_nothing(generator: SimpleNamespace, read, source: str) -> None:
    with pytest.raises(generator.MarkerError, match="may be skipped or fail"):
        read(source)


def test_a_test_that_does_nothing_proves_nothing(generator: SimpleNamespace, read) -> None:
    with pytest.raises(generator.MarkerError, match="does nothing"):
        read(f'{MARKED}def test_it():\n    """It runs."""\n    pass')


def test_a_test_another_takes_the_place_of_proves_nothing(generator: SimpleNamespace, read) -> None:
    with pytest.raises(generator.MarkerError, match="another test_it of this module takes its place"):
        read(f"{MARKED}def test_it(): assert it()\n\ndef test_it(): assert other()")


def test_a_file_that_pytest_does_not_collect_proves_nothing(generator: SimpleNamespace, read) -> None:
    with pytest.raises(generator.MarkerError, match="no test that pytest runs"):
        read(f"{MARKED}def test_it(): assert it()", "helpers.py")


def test_the_same_is_not_said_twice(generator: SimpleNamespace, read) -> None:
    with pytest.raises(generator.MarkerError, match="both say: It runs"):
        read(f"{MARKED}def test_a(): assert a()\n\n{MARKED}def test_b(): assert b()")
