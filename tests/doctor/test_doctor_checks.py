"""What the doctor finds, with the embedded Dataverse, Stripe's simulator and the embedded queue as patients."""

from __future__ import annotations

import json

import pytest
import stripe

from azure_bridge.queues import open_queue
from azure_bridge.queues.contract import QueueAccessError, QueueMessage, QueueUnavailableError
from azure_bridge.secrets import Secrets
from dataverse_client.auth import NoAuthentication
from dataverse_client.client import DataverseClient
from dataverse_client.errors import AccessDeniedError, AuthenticationError
from dataverse_client.retry import RetrySettings
from dataverse_client.sign_in import Application, ClientSecret, ManagedIdentity
from runner.doctor import dataverse, queues, stripe_account
from runner.doctor.diagnosis import Health
from runner.doctor.examination import examine
from runner.emulator.adapter import client_of
from runner.emulator.emulator import Emulator
from runner.registrations.deploy.apply import apply_plan
from runner.registrations.deploy.endpoints import Site
from runner.registrations.deploy.plan import make_plan
from runner.registrations.load import parse
from runner.settings import Settings
from runner.stripe_simulator import StripeSimulator

PUBLIC = "https://runner.contoso.com"
HOOK = "/stripe/webhook"
EVENTS = ("payment_intent.succeeded", "payment_intent.canceled")
SITE = Site(PUBLIC, "key")

FILE = """
steps:
  - name: Watch
    plugin: a:B
    message: Update
    entity: account
    stage: 40
    filtering_attributes: [name]
    images: [{ type: pre, alias: before, attributes: [telephone1] }]
bridge:
  events: [payment_intent.succeeded]
  tables: [{ entity: new_payment, metadata_key: CRM_PaymentId }]
"""


@pytest.fixture
def client():
    with Emulator() as emulator:
        yield client_of(emulator, retry=RetrySettings(back_off=False))


@pytest.fixture
def account():
    return StripeSimulator().client()


def healths(diagnoses):
    return [each.health for each in diagnoses]


def webhook(account, *, public_url=PUBLIC, events=EVENTS, secrets=("whsec_x",)):
    return list(stripe_account.webhook(account, public_url, HOOK, events, secrets))


def register(account, url=PUBLIC + HOOK, **more):
    return account.v1.webhook_endpoints.create({"url": url, "enabled_events": [*EVENTS], **more})


# --- Dataverse ------------------------------------------------------------------------------------------------


def test_who_signs_in_is_told(client):
    found = dataverse.sign_in(client, ManagedIdentity("7"))
    assert found.finding.startswith(f"user {client.who_am_i().user_id} of organization ")
    assert found.finding.endswith(", by user-assigned managed identity 7")
    assert dataverse.sign_in(client, None).finding.endswith(", without signing in")


@pytest.mark.parametrize(
    ("identity", "advice"),
    [
        (Application("t", "c", ClientSecret("s")), "when the secret or certificate expires"),
        (ManagedIdentity(), "AZURE_CLIENT_ID"),
        (None, "Set DATAVERSE_AUTH"),
    ],
)
def test_an_identity_that_is_refused_is_advised_on(identity, advice):
    class Refused:
        def who_am_i(self):
            raise AuthenticationError("refused")

    assert advice in dataverse.sign_in(Refused(), identity).advice


def test_an_identity_dataverse_does_not_know_is_to_become_an_application_user():
    class Unknown:
        def who_am_i(self):
            raise AccessDeniedError("The user is not a member of the organization.")

    found = dataverse.sign_in(Unknown(), ManagedIdentity("7"))
    assert found.advice.startswith("Add user-assigned managed identity 7 as an application user")


def test_an_environment_that_is_away_is_a_failure():
    nobody = DataverseClient("http://127.0.0.1:9", tokens=NoAuthentication(), retry=RetrySettings(attempts=1))
    assert dataverse.sign_in(nobody, None).advice == "Check DATAVERSE_URL, and whether the environment is up."


def test_an_address_no_token_may_be_sent_to_keeps_nothing_else_from_being_looked_at(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in {"URL": "http://contoso.example", "TENANT_ID": "t", "CLIENT_ID": "c"}.items():
        monkeypatch.setenv(f"DATAVERSE_{name}", value)
    monkeypatch.setenv("DATAVERSE_CLIENT_SECRET", "of-no-use-here")

    found = {said.subject: said for said in examine()}

    assert found["Dataverse sign-in"].health is Health.FAILED
    assert "https only" in found["Dataverse sign-in"].finding
    assert "queue payment-events" in found


def test_columns_of_steps_images_and_bridge_are_looked_for(client):
    needed = dataverse.needed_columns(parse(FILE))
    assert needed["account"] == {"name", "telephone1"}
    assert "new_stripepaymentintentid" in needed["new_payment"]
    assert healths(dataverse.tables(client, parse(FILE))) == [Health.OK, Health.OK]


def test_a_missing_column_is_named_with_the_way_to_get_it(client):
    (account, _) = dataverse.tables(client, parse(FILE.replace("telephone1", "new_missing")))
    assert account.finding == "account lacks new_missing"
    assert account.advice.startswith("Import the solution that has them")


def test_a_missing_column_of_payments_is_made_by_a_command(client):
    missing = parse(FILE.replace("account", "new_payment").replace("telephone1", "new_missing"))
    (payment,) = dataverse.tables(client, missing)
    assert payment.advice.startswith("Run runner apply --schema")


def test_a_missing_table_is_a_failure(client):
    found = dataverse.tables(client, parse(FILE.replace("account", "new_nothing")))
    assert "there is no table new_nothing" in [each.finding for each in found if each.health is Health.FAILED]


def test_drift_is_a_failure_until_it_is_applied(client):
    registrations, secrets = parse(FILE), Secrets({})
    assert dataverse.drift(client, registrations, SITE, secrets).health is Health.FAILED
    apply_plan(client, make_plan(registrations, client, SITE, secrets))
    assert dataverse.drift(client, registrations, SITE, secrets).health is Health.OK
    assert dataverse.drift(client, parse("steps: []"), SITE, secrets).health is Health.WARNING


def test_of_much_that_cannot_be_registered_the_first_is_told(client):
    step = "{{ name: {0}, plugin: a:{0}, message: Create, entity: new_nothing, stage: 40 }}"
    file = parse(f"steps: [{step.format('First')}, {step.format('Second')}]")
    found = dataverse.drift(client, file, SITE, Secrets({}))
    assert found.health is Health.FAILED
    assert found.finding.startswith("First: ")
    assert found.finding.endswith(" And 1 more.")


# --- Stripe ---------------------------------------------------------------------------------------------------


def test_the_keys_mode_is_told(account):
    assert stripe_account.key(account).finding == "test mode"


def test_a_key_that_is_not_accepted_is_a_failure():
    simulator = StripeSimulator()
    wrong = stripe.StripeClient("sk_test_other", http_client=simulator.http_client())
    assert "Set STRIPE_SECRET_KEY" in stripe_account.key(wrong).advice


def test_without_a_network_the_finding_is_one_sentence():
    class Unplugged(stripe.RequestsClient):
        def request(self, *_, **__):
            raise stripe.APIConnectionError("Unexpected error communicating with Stripe.\n\nLet us know.")

    found = stripe_account.key(stripe.StripeClient("sk_test_1", http_client=Unplugged()))
    assert (found.finding, found.advice[:6]) == ("Stripe cannot be reached", "Check ")


def test_a_restricted_key_that_lacks_rights_is_told_which():
    class Restricted(stripe.RequestsClient):
        def request(self, *_, **__):
            return json.dumps({"error": {"message": "The key lacks rak_balance_read."}}), 403, {}

    found = stripe_account.key(stripe.StripeClient("rk_test_1", http_client=Restricted()))
    assert (found.finding, found.health) == ("The key lacks rak_balance_read.", Health.FAILED)
    assert found.advice.startswith("Let the restricted key read balances")


def test_an_endpoint_that_brings_every_event_is_well(account):
    register(account)
    assert healths(webhook(account)) == [Health.OK]
    assert healths(webhook(account, public_url=f"{PUBLIC}/")) == [Health.OK]


def test_an_endpoint_without_tls_is_a_failure(account):
    register(account, url="http://runner.contoso.com" + HOOK)
    (found,) = webhook(account, public_url="http://runner.contoso.com")
    assert (found.health, found.finding) == (Health.FAILED, f"http://runner.contoso.com{HOOK} is not https")


def test_an_endpoint_for_everything_brings_every_event(account):
    register(account, enabled_events=["*"])
    assert healths(webhook(account)) == [Health.OK]


def test_events_that_are_not_sent_are_named(account):
    register(account, enabled_events=[EVENTS[0]])
    (found,) = webhook(account)
    assert found.finding.endswith("does not send payment_intent.canceled")


def test_without_an_endpoint_no_event_would_come(account):
    register(account, url="https://elsewhere.example/stripe")
    (found,) = webhook(account)
    assert found.finding == f"none of the account's 1 endpoints leads to {PUBLIC}{HOOK}"


def test_on_this_machine_forwarding_is_the_way(account):
    (found,) = webhook(account, public_url="http://127.0.0.1:8080")
    assert (found.health, "stripe listen --forward-to" in found.advice) == (Health.WARNING, True)


def test_a_disabled_endpoint_is_a_failure(account):
    endpoint = register(account)
    account.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    (found,) = webhook(account)
    assert found.finding.endswith("is disabled")


def test_an_endpoint_of_another_version_is_worth_a_warning(account):
    register(account, api_version="2019-12-03")
    (found,) = webhook(account)
    assert found.health is Health.WARNING
    assert "2019-12-03" in found.finding


def test_without_a_signing_secret_nothing_is_accepted(account):
    register(account)
    assert healths(webhook(account, secrets=())) == [Health.OK, Health.FAILED]


# --- queues ---------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path):
    return Settings(runner_data_dir=tmp_path)


def test_a_queue_nobody_used_yet_is_not_made_by_looking(settings):
    assert queues.queue(settings, "payment-events").health is Health.SKIPPED
    assert list(settings.runner_data_dir.iterdir()) == []


def test_a_data_directory_that_is_none_is_a_failure(settings):
    (settings.runner_data_dir / "file").touch()
    found = queues.queue(Settings(runner_data_dir=settings.runner_data_dir / "file"), "payment-events")
    assert (found.health, found.advice) == (Health.FAILED, "Correct RUNNER_DATA_DIR.")


def test_dead_letters_are_worth_a_look(settings):
    queue = open_queue("payment-events", directory=settings.runner_data_dir)
    assert queues.queue(settings, "payment-events").health is Health.OK
    queue.send([QueueMessage(b"{}", "1")])
    queue.dead_letter(queue.receive()[0], "broken")
    assert queues.queue(settings, "payment-events").advice == "Look at them with runner queue."
    queue.close()


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (QueueAccessError("the token has no claim Listen"), "Give this identity the roles Service Bus Data Sender"),
        (QueueUnavailableError("no such host"), "Check SERVICEBUS_NAMESPACE or SERVICEBUS_CONNECTION_STRING"),
        (ImportError("azure.servicebus"), "pip install 'dataverse-plugin-runner[azure]'"),
    ],
    ids=["not allowed", "away", "no library"],
)
def test_a_queue_at_service_bus_that_cannot_be_looked_into_says_what_helps(error, advice, monkeypatch):
    def refused(name, **_):
        raise error

    monkeypatch.setattr(queues, "open_queue", refused)
    found = queues.queue(Settings(servicebus_namespace="contoso"), "payment-events")
    assert found.health is Health.FAILED
    assert found.advice.startswith(advice)


@pytest.mark.parametrize(
    ("identity", "place"),
    [
        (
            {"servicebus_namespace": "contoso.servicebus.windows.net"},
            "contoso.servicebus.windows.net, as this machine's",
        ),
        ({"servicebus_namespace": "contoso", "azure_client_id": "7"}, "contoso, as identity 7"),
        ({"servicebus_connection_string": "Endpoint=sb://contoso"}, "Service Bus, by connection string"),
    ],
)
def test_at_service_bus_it_is_told_as_whom_we_came(identity, place, tmp_path, monkeypatch):
    monkeypatch.setattr(queues, "open_queue", lambda name, **_: open_queue(name, directory=tmp_path))
    assert queues.queue(Settings(**identity), "payment-events").finding.startswith(f"reachable in {place}")
