"""What an emulator gets from its surroundings when it is served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from registered_rows import queue_row, step_row

from azure_bridge.clock import SystemClock
from azure_bridge.queues import open_queue
from dataverse_client.types import Entity
from runner.web.dataverse.host import Hosting, HostingError, hosted


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("STRIPE_SECRET_KEY", "STRIPE_API_BASE", "SERVICEBUS_CONNECTION_STRING", "SERVICEBUS_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


def test_service_bus_messages_go_to_the_queue_of_their_name_in_the_data_directory(tmp_path):
    with hosted(Hosting(data=tmp_path / "kept")) as site:
        crm = site.emulator.service()
        crm.create(step_row(crm.create(queue_row("dataverse-events")), "Create", "account"))
        account = crm.create(Entity("account", None, {"name": "Contoso"}))

    queue = open_queue("dataverse-events", directory=tmp_path / "kept", clock=SystemClock())
    [received] = queue.receive(10, timedelta(0))
    queue.close()
    assert account.encode() in received.message.body


def test_a_certificate_outlives_the_server_with_its_data_only(tmp_path):
    with hosted(Hosting(tls=True)) as site:
        thrown_away = site.certificate.authority
    with hosted(Hosting(tls=True, data=tmp_path)) as site:
        kept = site.certificate.authority
    assert (thrown_away.exists(), kept.exists()) == (False, True)


def test_rows_that_nobody_keeps_are_in_a_file_as_long_as_they_are_served(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with hosted(Hosting()) as site:
        account = site.emulator.service().create(Entity("account", None, {"name": "Contoso"}))
        with site.emulator.transaction(), ThreadPoolExecutor(1) as elsewhere:
            assert (
                elsewhere.submit(site.emulator.service().retrieve, "account", account).result(30)["name"] == "Contoso"
            )
        assert len(list(tmp_path.rglob("dataverse.db"))) == 1
    assert list(tmp_path.iterdir()) == []


def test_described_tables_are_served(tmp_path):
    registrations = tmp_path / "registrations.yaml"
    registrations.write_text("tables: { new_desk: { columns: { new_floor: { type: Integer } } } }")
    with hosted(Hosting(registrations=registrations)) as site:
        crm = site.emulator.service()
        desk = crm.create(Entity("new_desk", None, {"new_floor": 3}))
        assert crm.retrieve("new_desk", desk)["new_floor"] == 3


def test_a_data_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostingError, match="--data"), hosted(Hosting(data=tmp_path / "file" / "inside")):
        pass
