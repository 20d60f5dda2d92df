"""Converts the file's data to the model, and reports what does not fit in the file's own terms.

What is broken in one step does not keep the rules from looking at the rest: :func:`view` salvages everything
that can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from azure_bridge.redaction import redact
from runner.registrations.bridge import BridgeRegistration
from runner.registrations.file_rules import TOO_LONG
from runner.registrations.model import Registrations, StepRegistration
from runner.registrations.pages import REGISTER
from runner.registrations.problems import Finding, Path, did_you_mean
from runner.registrations.rules import STAGE_NOT_ALLOWED
from runner.registrations.section import COLUMN_NAME, LOGICAL_NAME, NAME, Section
from runner.registrations.view import Part, View

M = TypeVar("M", bound=Section)


@dataclass(frozen=True, slots=True)
class _Advice:
    """What would be right for a key, beyond what its type says; with Dataverse's code where it has one."""

    hint: str
    code: int | None = None
    url: str | None = None


_ADVICE = {
    "stage": _Advice(
        "Use 10 (PreValidation), 20 (PreOperation) or 40 (PostOperation).",
        STAGE_NOT_ALLOWED,
        f"{REGISTER}#event-pipeline-stage-of-execution",
    ),
    "mode": _Advice("Use sync or async."),
    "plugin": _Advice("Write it as module:Class, such as plugins.payment_intents:CreatePaymentIntent."),
    "entity": _Advice("Write a logical name such as new_payment, in lower case, or an alias."),
    "configuration": _Advice("Write a mapping, or text."),
    "secure_configuration": _Advice("Write a mapping, or text."),
}

#: What each kind of validation error says, filled with the error's own facts.
_MESSAGES = {
    "missing": "{key} is missing.",
    "literal_error": "{value} is not allowed here.",
    "enum": "{value} is not allowed here.",
    "union_tag_invalid": "There is no type {tag!r} here.",
    "union_tag_not_found": "type is missing; it says which kind this is.",
    "string_pattern_mismatch": "{value} is not written as it must be.",
    "string_too_short": "This must not be empty.",
    "string_too_long": "This is longer than {max_length} characters.",
    "less_than": "This must be less than {lt}.",
    "less_than_equal": "This must be at most {le}.",
    "greater_than": "This must be more than {gt}.",
    "greater_than_equal": "This must be at least {ge}.",
    "string_type": "This must be text, and it is {kind}.",
    "int_parsing": "{value} is not a whole number.",
    "int_type": "This must be a whole number, and it is {kind}.",
    "float_type": "This must be a number, and it is {kind}.",
    "bool_type": "This must be true or false, and it is {kind}.",
    "tuple_type": "This must be a list, and it is {kind}.",
    "dict_type": "This must be a mapping of keys to values, and it is {kind}.",
    "model_type": "This must be a mapping of keys to values, and it is {kind}.",
    "model_attributes_type": "This must be a mapping of keys to values, and it is {kind}.",
}

#: What would be right, where the key itself has no advice.
_HINTS = {
    "literal_error": "Use {expected}.",
    "enum": "Use {expected}.",
    "union_tag_invalid": "Use {expected_tags}.",
    "string_type": "Put it in quotes.",
}

#: The same, by the pattern that is not matched.
_PATTERN_HINTS = {
    LOGICAL_NAME: "Write a logical name such as new_payment, in lower case.",
    COLUMN_NAME: "Write a column's logical name, such as new_amount.",
    NAME: "Write it in one line.",
}

#: What Dataverse answers with, where it is another code than the key's own.
_CODES: dict[str, int | None] = {"missing": None, "string_too_long": TOO_LONG}

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "nothing"),
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "text"),
    (list, "a list"),
    (dict, "a mapping"),
    (date, "a date"),
    (bytes, "binary data"),
)


def structure(data: Any) -> tuple[Registrations | None, list[Finding]]:
    """The model, or what keeps ``data`` from being one."""
    try:
        return Registrations.model_validate(data), []
    except ValidationError as error:
        findings = [_finding(details, data) for details in error.errors()]
    # A union reports once per member: mapping or text, neither of them.
    return None, list({(each.path, each.at_key): each for each in reversed(findings)}.values())


def view(data: Any, registrations: Registrations | None) -> View:
    """What the rules look at: the model, or what can be salvaged of the data."""
    if registrations is None:
        return _salvaged(data if isinstance(data, dict) else {})
    bridge = registrations.bridge
    return View(
        entities=registrations.entities,
        steps=[Part(("steps", index), step) for index, step in enumerate(registrations.steps)],
        endpoints=registrations.endpoints,
        endpoint_names=frozenset(registrations.endpoints),
        custom_apis=registrations.custom_apis,
        custom_api_names=frozenset(registrations.custom_apis),
        tables=registrations.tables,
        bridge=None if bridge is None else Part(("bridge",), bridge),
    )


def _salvaged(data: Mapping[str, Any]) -> View:
    steps = data.get("steps")
    endpoints = data.get("endpoints")
    bridge = data.get("bridge")
    tables = data.get("tables")
    names = endpoints if isinstance(endpoints, dict) else {}
    apis = data.get("custom_apis")
    api_names = apis if isinstance(apis, dict) else {}
    return View(
        entities=_sound_section("entities", data.get("entities")),
        steps=[
            _salvage(StepRegistration, raw, ("steps", index))
            for index, raw in enumerate(steps if isinstance(steps, list) else ())
            if isinstance(raw, dict)
        ],
        endpoints=_sound_entries("endpoints", names),
        endpoint_names=frozenset(names),
        custom_apis=_sound_entries("custom_apis", api_names),
        custom_api_names=frozenset(api_names),
        tables=_sound_entries("tables", tables if isinstance(tables, dict) else {}),
        bridge=_salvage(BridgeRegistration, bridge, ("bridge",)) if isinstance(bridge, dict) else None,
    )


def _sound_entries(section: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Those entries of a section that are sound on their own."""
    return {name: sound for name, raw in entries.items() for sound in _sound_section(section, {name: raw}).values()}


def _sound_section(name: str, raw: Any) -> Mapping[str, Any]:
    try:
        section: Mapping[str, Any] = getattr(Registrations.model_validate({name: raw}), name)
    except ValidationError:
        return {}
    return section


#: Stand in for required keys that are broken or missing; no rule that reads such a key runs.
_PLACEHOLDERS: dict[type[Section], dict[str, Any]] = {
    StepRegistration: {"name": "?", "plugin": "unknown:Unknown", "message": "Create", "stage": 40},
    BridgeRegistration: {"events": (), "tables": [{"entity": "unknown", "metadata_key": "unknown"}]},
}


def _salvage(model: type[M], raw: dict[str, Any], path: Path) -> Part[M]:
    try:
        return Part(path, model.model_validate(raw))
    except ValidationError as error:
        broken = frozenset(str(details["loc"][0]) for details in error.errors())
    kept = {key: value for key, value in raw.items() if key not in broken}
    return Part(path, model.model_validate({**_PLACEHOLDERS[model], **kept}), broken)


def _finding(details: ErrorDetails, data: Any) -> Finding:
    kind, path = details["type"], _path(details, data)
    if kind == "extra_forbidden":
        hint = did_you_mean(str(path[-1]), _known_keys(details["loc"][:-1]))
        return Finding(path=path, message="There is no such key.", hint=hint, at_key=True)
    facts = _facts(details)
    hint = _HINTS.get(kind) or _PATTERN_HINTS.get(facts.get("pattern", ""), "")
    advice = _ADVICE.get(str(path[-1]) if path else "") or _Advice(hint.format(**facts))
    return Finding(
        path=path,
        message=_MESSAGES[kind].format(**facts) if kind in _MESSAGES else f"{details['msg']}.",
        hint=advice.hint,
        code=_CODES.get(kind, advice.code),
        url=advice.url,
        at_key=details["loc"][-1:] == ("[key]",),
    )


def _facts(details: ErrorDetails) -> dict[str, Any]:
    value = details["input"]
    kind = next((name for types, name in _KINDS if isinstance(value, types)), type(value).__name__)
    shown = redact(str(value) if isinstance(value, date) else repr(value))
    key = details["loc"][-1] if details["loc"] else ""
    facts = {"key": key, "kind": kind, "value": shown if len(shown) < 80 else f"{shown[:77]}..."}
    return {**details.get("ctx", {}), **facts}


def _path(details: ErrorDetails, data: Any) -> Path:
    """An error's location without what is in the model only: names of union members."""
    path: list[str | int] = []
    *parts, last = details["loc"] or ("",)
    for part in parts:
        if isinstance(data, Mapping | list) and _holds(data, part):
            data = data[part]  # type: ignore[index]  # _holds knows which is which
            path.append(part)
    if _holds(data, last) or details["type"] == "missing":
        path.append(last)
    return tuple(path)


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, Mapping):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """The keys that exist where an unknown one stands."""
    models: list[type[Section]] = [Registrations]
    for part in location:
        inner = [
            section
            for model in models
            if part in model.model_fields
            for section in _sections(model.model_fields[str(part)].annotation)
        ]
        # A location also has positions, names of endpoints, and the types that tell members of a union apart.
        models = inner or [model for model in models if _is_of_type(model, part)] or models
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def _is_of_type(model: type[Section], tag: str | int) -> bool:
    return "type" in model.model_fields and tag in get_args(model.model_fields["type"].annotation)


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """The models inside a type, such as the one in ``tuple[StepRegistration, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from _sections(argument)
