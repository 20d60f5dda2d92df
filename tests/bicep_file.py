"""As much of Bicep as tests of the templates need: what is declared, what is named, and what modules are given.

There is no compiler here. This finds what is misspelt, missing or left over, and takes no type for another.
Source: https://learn.microsoft.com/azure/azure-resource-manager/bicep/file
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_TEXT = re.compile(r"'(?:\\.|\$\{[^{}]*\}|[^'$]|\$(?!\{))*'")
_DECLARATION = re.compile(r"^ *(param|var|resource|module|output) (\w+)", re.MULTILINE)
_LOCAL = re.compile(r"\bfor (\w+) in\b|(\w+) =>")
#: A word that is no key of an object; what a loop goes over has a colon after it, too.
_NAME = re.compile(r"(?<=\bin )\w+|(?<![\w.@])[A-Za-z_]\w*\b(?!:)")
_INTERPOLATION = re.compile(r"(?<!\\)\$\{([^{}]*)\}")
_WORDS = {
    *("targetScope", "param", "var", "resource", "module", "output", "existing", "if", "for", "in", "using"),
    *("string", "int", "bool", "object", "array", "true", "false", "null"),
    *("subscriptionResourceId", "resourceGroup", "environment", "tenant", "loadJsonContent", "uniqueString", "guid"),
    *("take", "replace", "split", "concat", "union", "map", "items", "toObject", "json", "empty"),
}
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True)
class Module:
    """A call of another file."""

    name: str
    path: Path
    given: frozenset[str]


class BicepFile:
    """One file, read and not understood. Raises ValueError when its brackets or quotes do not close."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self.code = _without_strings(_without_comments(self.text))
        _balanced(self.code)

    def declared(self, kind: str) -> list[str]:
        return [name for found, name in _DECLARATION.findall(self.code) if found == kind]

    @cached_property
    def required(self) -> frozenset[str]:
        """Parameters without a default."""
        return frozenset(re.findall(r"^param (\w+) \w+ *$", self.code, re.MULTILINE))

    @cached_property
    def modules(self) -> list[Module]:
        found = re.finditer(r"^module (\w+) '([^']+)'", self.text, re.MULTILINE)
        return [Module(match[1], self.path.parent / match[2], frozenset(self._given(match.end()))) for match in found]

    def _given(self, start: int) -> list[str]:
        return re.findall(r"^    (\w+):", self.block("  params: ", start), re.MULTILINE)

    def block(self, beginning: str, start: int = 0) -> str:
        """From ``beginning`` to the bracket that closes what it opens, line by line."""
        text = self.text[self.text.index(beginning, start) :]
        indent = re.match(" *", beginning)[0]
        end = re.search(rf"^{indent}[\]}})]", text, re.MULTILINE)
        return text[: end.end()] if end else text

    def keys(self, beginning: str) -> dict[str, str]:
        """The keys of an object that is written one to a line, and their values as text."""
        return dict(re.findall(r"^ +(\w+): (.+)$", self.block(beginning), re.MULTILINE))

    @property
    def undeclared(self) -> set[str]:
        """Names in expressions that nobody declares."""
        known = {name for _, name in _DECLARATION.findall(self.code)}
        known |= {name for pair in _LOCAL.findall(self.code) for name in pair}
        return set(_NAME.findall(self.code)) - known - _WORDS

    @property
    def unused(self) -> set[str]:
        """Parameters, variables and existing resources that nothing names."""
        names = self.declared("param") + self.declared("var")
        names += re.findall(r"^resource (\w+) '[^']+' existing", self.text, re.MULTILINE)
        said = Counter(_NAME.findall(self.code))
        return {name for name in names if said[name] < 2}


def _without_comments(text: str) -> str:
    return re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)


def _without_strings(text: str) -> str:
    """Texts replaced by the expressions inside them."""

    def expressions(literal: re.Match[str]) -> str:
        if "\n" in literal[0]:
            raise ValueError(f"a text is not closed: {literal[0].splitlines()[0]}")
        return " ".join(["", *_INTERPOLATION.findall(literal[0]), ""])

    return _TEXT.sub(expressions, text).replace("'", " ")


def _balanced(code: str) -> None:
    opened: list[str] = []
    for character in code:
        if character in _PAIRS.values():
            opened.append(character)
        elif character in _PAIRS and (not opened or opened.pop() != _PAIRS[character]):
            raise ValueError(f"{character} closes nothing")
    if opened:
        raise ValueError(f"{opened[-1]} is not closed")
