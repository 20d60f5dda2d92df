"""From registrations.yaml to values."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from azure_bridge.secrets import Secrets, SecretSourceError
from azure_bridge.tables import PaymentColumns, PaymentStatus
from runner.registrations.document import Document
from runner.registrations.load import RegistrationError, load, parse
from runner.registrations.messages import IMAGES
from runner.registrations.model import Registrations
from runner.registrations.stripe_events import PAYMENT_EVENT_TYPES

SHIPPED = Path(__file__).parents[2] / "registrations.yaml"


def test_the_shipped_file_has_no_problems() -> None:
    registrations = load(SHIPPED)
    assert [step.name for step in registrations.steps][:2] == [
        "Payment: create the intent",
        "Payment: keep the intent in step",
    ]
    assert registrations.logical_name("sales_order") == "salesorder"


def test_a_logical_name_is_its_own_alias() -> None:
    assert Registrations().logical_name("contact") == "contact"


def test_the_bridge_is_told_its_tables_by_logical_name() -> None:
    configuration = load(SHIPPED).to_bridge_configuration(livemode=True)
    payment, order = configuration.tables
    assert (payment.logical_name, payment.primary_id) == ("new_payment", "new_paymentid")
    assert (order.logical_name, order.primary_id) == ("salesorder", "salesorderid")
    assert payment.columns == PaymentColumns()
    assert payment.statuses[PaymentStatus.COMPLETED] == 100_000_005
    assert configuration.livemode
    assert "payment_intent.payment_failed" in configuration.events
    assert configuration.events <= set(PAYMENT_EVENT_TYPES)


def test_the_file_s_organization_wins_over_the_environment_s() -> None:
    mine = "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"
    bridge = f"bridge: {{events: [], organization_id: {mine}, tables: [{{entity: a, metadata_key: K}}]}}"
    assert (
        parse(bridge).to_bridge_configuration(organization_id="00000000-0000-0000-0000-000000000001").organization_id
        == mine
    )


def test_the_organization_may_be_a_reference() -> None:
    bridge = "bridge: {events: [], organization_id: '${env:ORG}', tables: [{entity: a, metadata_key: K}]}"
    secrets = Secrets.from_environment({"ORG": "{6F1B8C1E-7A54-4D59-9F0C-2D1F4C1A7B11}"})
    configuration = parse(bridge).to_bridge_configuration(secrets)
    assert configuration.organization_id == "6f1b8c1e-7a54-4d59-9f0c-2d1f4c1a7b11"


def test_a_reference_nobody_resolves_is_no_organization() -> None:
    bridge = "bridge: {events: [], organization_id: '${env:ORG}', tables: [{entity: a, metadata_key: K}]}"
    with pytest.raises(SecretSourceError, match="ORG"):
        parse(bridge).to_bridge_configuration()


def test_without_a_bridge_section_there_is_no_bridge() -> None:
    with pytest.raises(ValueError, match="no bridge section"):
        Registrations().to_bridge_configuration()


def test_modes_may_be_written_as_numbers() -> None:
    step = "steps: [{name: A, plugin: 'a:B', message: Create, stage: 40, mode: %s}]"
    assert parse(step % 1).steps[0].is_asynchronous
    assert parse(step % "async") == parse(step % 1)


def test_columns_are_lower_case_however_they_are_written() -> None:
    text = "steps: [{name: A, plugin: 'a:B', message: Update, stage: 40, filtering_attributes: [Name]}]"
    assert parse(text).steps[0].filtering_attributes == ("name",)


def test_a_merged_mapping_gives_what_the_step_does_not_say() -> None:
    registrations = parse(
        """
steps:
  - &first {name: A, plugin: "a:B", message: Create, stage: 40, rank: 7}
  - {<<: *first, name: B, message: Delete}
"""
    )
    second = registrations.steps[1]
    assert (second.name, second.message, second.rank) == ("B", "Delete", 7)


def test_the_first_of_several_merged_mappings_wins() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b]}\n"
    assert Document(text).data["c"] == yaml.safe_load(text)["c"] == {"x": 1, "y": 1, "z": 2}


def test_a_merged_key_is_found_where_it_is_written() -> None:
    text = "base: &base\n  stage: 30\nstep:\n  <<: *base\n  name: A\n"
    assert Document(text).position(("step", "stage")) == (2, 10)


def test_keys_are_text_whatever_they_look_like() -> None:
    assert Document("{on: 1, 2: 3, null: 4}").data == {"on": 1, "2": 3, "null": 4}


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "registrations.yaml"
    file.write_bytes(b"steps:\n  - name: \xff\n")
    with pytest.raises(RegistrationError, match=r"registrations\.yaml:2:1: This is not UTF-8 text\."):
        load(file)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "registrations.yaml"
    file.write_bytes(b"\xef\xbb\xbfsteps: []\n")
    assert load(file) == Registrations()


words = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
values = st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3))


@st.composite
def steps(draw: st.DrawFn, number: int) -> dict[str, object]:
    message = draw(st.sampled_from(["Create", "Update", "Delete", "Retrieve", "new_Capture"]))
    stage = draw(st.sampled_from([10, 20, 40]))
    kinds = [kind for kind in IMAGES.get(message, ()) if kind == "pre" or stage == 40]
    step: dict[str, object] = {
        "name": f"{number} {draw(texts)}",
        "plugin": f"plugins.{draw(words)}:{draw(words)}",
        "message": message,
        "entity": draw(st.none() | words),
        "stage": stage,
        "mode": draw(st.sampled_from(["sync", "async"] if stage == 40 else ["sync"])),
        "rank": number,
        "images": [{"type": kind, "alias": draw(texts), "attributes": draw(st.lists(words))} for kind in kinds],
        "filtering_attributes": [f"c{number}", *draw(st.lists(words))] if message == "Update" else [],
        "configuration": draw(st.none() | texts | st.dictionaries(texts, values, max_size=3)),
        "enabled": draw(st.booleans()),
    }
    return step


def distinct(model: Registrations) -> bool:
    return len({(s.message, s.entity, s.stage, s.plugin, s.filtering_attributes) for s in model.steps}) == len(
        model.steps
    )


@settings(max_examples=40)
@given(st.integers(0, 4).flatmap(lambda count: st.tuples(*(steps(number) for number in range(count)))))
def test_what_is_written_is_read_back(some: tuple[dict[str, object], ...]) -> None:
    model = Registrations.model_validate({"steps": list(some)})
    if distinct(model):
        written = yaml.safe_dump(model.model_dump(mode="json"), allow_unicode=True)
        assert parse(written) == model
