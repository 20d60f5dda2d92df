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
        def test_depth(): ...
    """)
    page = "[event-framework](https://learn.microsoft.com/power-apps/developer/data-platform/event-framework)"
    proof = "[`tests/test_sample.py::test_depth`](../tests/test_sample.py)"
    assert behaviour.row == f"| Eight levels run | {page} | {proof} |"


def test_a_test_in_a_class_is_named_as_pytest_names_it(read) -> None:
    (behaviour,) = read("""
        class TestDepth:
            @pytest.mark.behaviour("Depth", "Eight levels run", "observed")
            def test_it(self): ...
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
        read(f"@pytest.mark.behaviour({arguments})\n{function}: ...")


@pytest.mark.parametrize("excuse", ['skip("later")', 'skipif(SLOW, reason="slow")', "xfail"])
def test_a_test_with_an_excuse_proves_nothing(generator: SimpleNamespace, read, excuse: str) -> None:
    source = f'@pytest.mark.{excuse}\n@pytest.mark.behaviour("Depth", "It runs", "common")\ndef test_it(): ...'
    with pytest.raises(generator.MarkerError, match="skipped"):
        read(source)


def test_a_file_that_pytest_does_not_collect_proves_nothing(generator: SimpleNamespace, read) -> None:
    source = '@pytest.mark.behaviour("Depth", "It runs", "common")\ndef test_it(): ...'
    with pytest.raises(generator.MarkerError, match="no test that pytest runs"):
        read(source, "helpers.py")


def test_the_same_is_not_said_twice(generator: SimpleNamespace, read) -> None:
    marker = '@pytest.mark.behaviour("Depth", "It runs", "common")'
    with pytest.raises(generator.MarkerError, match="both say: It runs"):
        read(f"{marker}\ndef test_a(): ...\n\n{marker}\ndef test_b(): ...")
