"""Parses YAML into plain data, and keeps the line and column of everything in it.

The C parser makes nodes with positions anyway, so they are kept; data is built from the nodes in one walk, and
a position is looked up only when there is something to say about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from runner.registrations.problems import Finding, Path

# What PyYAML has without libyaml is slower and otherwise the same.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_UNFINISHED = object()


class YamlSyntaxError(Exception):
    """The text is not one YAML document. ``line`` and ``column`` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


class Document:
    """One YAML document: its ``data``, what is wrong with its form, and where each part stands.

    Keys are always text, whatever they look like. Anchors and merge keys are followed.

    Raises:
      YamlSyntaxError: the text cannot be parsed.
    """

    def __init__(self, text: str) -> None:
        self._loader, self._root = _compose(text)
        self._built: dict[int, Any] = {}
        self.findings: list[Finding] = []
        try:
            self.data: Any = None if self._root is None else self._build(self._root, ())
        except RecursionError:
            raise YamlSyntaxError("It is nested too deeply", 1, 1) from None

    def position(self, path: Path, *, at_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of what stands at ``path``, or of the nearest part around it."""
        node = key = self._root
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            key, node = found
        target = key if at_key else node
        return (1, 1) if target is None else (target.start_mark.line + 1, target.start_mark.column + 1)

    def path_at(self, line: int, column: int) -> Path:
        """The path of the value that stands at a line and column, counted from 1; () for a comment."""
        spot = (line - 1, column - 1)
        return next((path for path, node in _scalars(self._root, (), set()) if _covers(node, spot)), ())

    def _build(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == _TEXT else self._scalar(node, path)
        if id(node) in self._built:
            return self._finished(node)
        self._built[id(node)] = _UNFINISHED
        if isinstance(node, yaml.SequenceNode):
            built: Any = [self._build(item, (*path, index)) for index, item in enumerate(node.value)]
        else:
            built = self._mapping(node, path)
        self._built[id(node)] = built
        return built

    def _finished(self, node: yaml.Node) -> Any:
        """What an anchor stands for; its data is shared, not copied."""
        if self._built[id(node)] is _UNFINISHED:
            mark = node.start_mark
            raise YamlSyntaxError("An anchor contains itself", mark.line + 1, mark.column + 1)
        return self._built[id(node)]

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        try:
            return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, AttributeError):
            # What PyYAML raises for !!int '', !!bool maybe and !!timestamp soon.
            self._find(path, f"{node.tag} values cannot be read.", "Write plain text, a number, true, false or null.")
            return None

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                merged = {**self._merge(value, path), **merged}
            elif not isinstance(key, yaml.ScalarNode):
                self._find(path, "A key must be text.", "Put it in quotes.")
            elif key.value in own:
                self._find((*path, key.value), "This key is there twice.", "Keep one of them.", at_key=True)
            else:
                own[key.value] = self._build(value, (*path, key.value))
        return {**merged, **own} if merged else own

    def _merge(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in reversed(sources):
            built = self._build(source, path)
            if isinstance(built, dict):
                merged.update(built)
            else:
                self._find(path, "<< merges mappings only.", "Anchor a mapping and merge that.")
        return merged

    def _find(self, path: Path, message: str, hint: str, *, at_key: bool = False) -> None:
        self.findings.append(Finding(path=path, message=message, hint=hint, at_key=at_key))


def _compose(text: str) -> tuple[yaml.SafeLoader, yaml.Node | None]:
    try:
        loader = _Loader(text)
        return loader, loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = (error.problem or error.context or "is not YAML").strip()
        raise YamlSyntaxError(message, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n") + 1
        raise YamlSyntaxError(error.reason, line, len(before) - before.rfind("\n")) from error


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The (key, value) nodes one step down; a list item is its own key."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return (node.value[part], node.value[part]) if part < len(node.value) else None
    if not isinstance(node, yaml.MappingNode):
        return None
    # The last wins, so that a duplicated key is shown where it is repeated.
    for key, value in reversed(node.value):
        if key.tag != _MERGE and key.value == part:
            return key, value
    return next((found for source in _merged(node) if (found := _child(source, part))), None)


def _merged(node: yaml.MappingNode) -> Iterator[yaml.Node]:
    for key, value in node.value:
        if key.tag == _MERGE:
            yield from value.value if isinstance(value, yaml.SequenceNode) else [value]


def _scalars(node: yaml.Node | None, path: Path, seen: set[int]) -> Iterator[tuple[Path, yaml.Node]]:
    """Every scalar once, where it is written and not where an alias repeats it."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _scalars(item, (*path, index), seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, str(key.value)), seen)


def _covers(node: yaml.Node, spot: tuple[int, int]) -> bool:
    start, end = node.start_mark, node.end_mark
    return (start.line, start.column) <= spot < (end.line, end.column)
