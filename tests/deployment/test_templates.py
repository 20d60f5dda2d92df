"""The templates of infra/, held against the code they deploy. docs/deploy-azure.md says what was not tried."""

from __future__ import annotations

import inspect
import json
import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from bicep_file import BicepFile

from azure_bridge.queues.embedded import EmbeddedQueue
from azure_bridge.secrets import references
from dataverse_client.sign_in import ManagedIdentity
from runner.connection import sign_in
from runner.settings import Settings

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
MAIN = BicepFile(INFRA / "main.bicep")
CONTAINERS = BicepFile(INFRA / "modules/containers.bicep")
FUNCTIONS = BicepFile(INFRA / "modules/functions.bicep")
MESSAGING = BicepFile(INFRA / "modules/messaging.bicep")
ALL = [MAIN, *map(BicepFile, sorted((INFRA / "modules").glob("*.bicep")))]
#: Source: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
PUBLISHED_ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Azure Service Bus Data Owner": "090c5cfd-751d-490a-894a-3ce6f1109419",
    "Azure Service Bus Data Receiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "Azure Service Bus Data Sender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
}
#: What the Functions host reads, and our code does not.
OF_THE_HOST = re.compile("APPLICATIONINSIGHTS_|AzureWebJobsStorage__|SERVICEBUS__|RECONCILE_SCHEDULE$")

files = pytest.mark.parametrize("file", ALL, ids=lambda file: file.path.stem)

SHARED = MAIN.keys("var settings = {")
SECRETS = {name: value for name, value in SHARED.items() if "keyvault:" in value}
OF_CONTAINERS = dict(re.findall(r"(\w+): (\w+)", CONTAINERS.block("var own = ").splitlines()[0]))
OF_FUNCTIONS = FUNCTIONS.keys("var hostSettings = {")
#: As Azure would fill them in.
EXAMPLES = {
    "DATAVERSE_URL": "https://contoso.crm.dynamics.com",
    "KEY_VAULT_URL": "https://contoso-kv.vault.azure.net/",
    "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
    "RUNNER_PUBLIC_URL": "https://contoso-receiver.azurecontainerapps.io",
    "SERVICEBUS_NAMESPACE": "contoso-bus.servicebus.windows.net",
    "SERVICEBUS__fullyQualifiedNamespace": "contoso-bus.servicebus.windows.net",
    "STRIPE_LIVE": "no",
    "DATAVERSE_AUTH": "managed-identity",
    **{name: value.strip("'").replace("\\", "") for name, value in SECRETS.items()},
}
BOTH_HOSTS = pytest.mark.parametrize("own", [OF_CONTAINERS, OF_FUNCTIONS], ids=["containers", "functions"])


def settings(own: dict[str, str]) -> Settings:
    names = SHARED | own
    return Settings.load({name: EXAMPLES.get(name, f"of-{name.lower().replace('_', '-')}") for name in names})


@files
def test_every_name_is_declared_and_every_declaration_is_used(file: BicepFile) -> None:
    assert file.undeclared == set()
    assert file.unused == set()


@files
def test_modules_are_given_what_they_ask_for(file: BicepFile) -> None:
    for module in file.modules:
        asked = BicepFile(module.path)
        assert asked.required <= module.given <= set(asked.declared("param")), module.name


@files
def test_modules_are_asked_for_outputs_they_have(file: BicepFile) -> None:
    outputs = {module.name: set(BicepFile(module.path).declared("output")) for module in file.modules}
    for module, output in re.findall(r"\b(\w+)!?\.outputs\.(\w+)", file.code):
        assert output in outputs[module]


def test_every_module_is_used() -> None:
    assert {module.path for module in MAIN.modules} == set((INFRA / "modules").glob("*.bicep"))


@files
def test_nothing_secret_is_in_a_template_or_passes_through_one(file: BicepFile) -> None:
    assert not re.search(r"listKeys|listConnectionStrings|sk_(test|live)|whsec_|SharedAccessKey|@secure", file.text)
    assert not re.search(r"(?i)^(param|output) \w*(secret|password|key\b)", file.text, re.MULTILINE)


@BOTH_HOSTS
def test_every_setting_is_one_the_code_or_the_host_reads(own: dict[str, str]) -> None:
    known = {field.upper() for field in Settings.__dataclass_fields__}
    unknown = {name for name in SHARED | own if name not in known and not OF_THE_HOST.match(name)}
    assert unknown == set()


@BOTH_HOSTS
def test_what_is_set_is_enough_to_start_with(own: dict[str, str]) -> None:
    deployed = settings(own)
    assert sign_in(deployed) == ManagedIdentity("of-azure-client-id")
    assert deployed.servicebus_namespace is not None
    for name in ("dataverse_url", "stripe_secret_key", "stripe_webhook_secret", "dataverse_webhook_key"):
        assert getattr(deployed, name), name


def test_every_setting_the_triggers_name_is_set() -> None:
    sources = [ROOT / "azure_bridge/functions.py", ROOT / "runner/functions.py"]
    named = {name for source in sources for name in re.findall(r"%([A-Z_]+)%", source.read_text())}
    assert named
    assert named <= (SHARED | OF_FUNCTIONS).keys()


def test_the_queues_are_those_the_code_uses() -> None:
    defaults = dict(re.findall(r"^param (\w+Queue) string = '([^']+)'", MAIN.text, re.MULTILINE))
    assert defaults == {
        "dataverseEventsQueue": Settings().dataverse_events_queue,
        "paymentEventsQueue": Settings().payment_events_queue,
    }
    assert SHARED["DATAVERSE_EVENTS_QUEUE"] == "dataverseEventsQueue"
    assert SHARED["PAYMENT_EVENTS_QUEUE"] == "paymentEventsQueue"


def test_a_queue_at_service_bus_is_as_the_embedded_one() -> None:
    queue = MESSAGING.keys("resource queue ")
    embedded = {name: each.default for name, each in inspect.signature(EmbeddedQueue).parameters.items()}
    assert period(queue["lockDuration"]) == embedded["lock_duration"]
    assert int(queue["maxDeliveryCount"]) == embedded["max_deliveries"]
    assert period(queue["duplicateDetectionHistoryTimeWindow"]) == embedded["duplicate_detection_window"]
    assert queue["requiresDuplicateDetection"] == "true"
    assert queue["deadLetteringOnMessageExpiration"] == "true"
    assert queue["requiresSession"] == queue["enablePartitioning"] == "false"


def period(text: str) -> timedelta:
    """An ISO 8601 duration in days or minutes."""
    days, minutes = re.fullmatch(r"'P(?:(\d+)D|T(\d+)M)'", text).groups()
    return timedelta(days=int(days or 0), minutes=int(minutes or 0))


def test_roles_have_the_ids_microsoft_publishes() -> None:
    assert json.loads((INFRA / "roles.json").read_text()) == PUBLISHED_ROLES


def test_every_role_that_is_listed_is_granted_and_no_other() -> None:
    text = "".join(file.text for file in ALL)
    named = set(re.findall(r"(?:roles|loadJsonContent\('../roles.json'\))\['([^']+)'\]", text))
    named |= set(re.findall(r"loadJsonContent\('../roles.json'\)\.(\w+)", text))
    assert named == PUBLISHED_ROLES.keys()


def test_the_runner_may_use_the_queues_and_not_manage_them() -> None:
    granted = dict.fromkeys(re.findall(r"principalId: runnerPrincipalId, role: roles\['([^']+)'\]", MESSAGING.text))
    assert list(granted) == ["Azure Service Bus Data Sender", "Azure Service Bus Data Receiver"]


@pytest.mark.parametrize("arguments", re.findall(r"args: \[(.+)\]", CONTAINERS.text))
def test_containers_are_told_what_the_runner_understands(arguments: str) -> None:
    name, *options = re.findall(r"'([^']*)'", arguments)
    assert getattr(import_module(f"runner.cli.{name}"), name).make_context(name, options)


def test_containers_are_probed_where_the_receiver_answers() -> None:
    probed = set(re.findall(r"path: '([^']+)', port: 8080", CONTAINERS.text))
    assert probed == {"/healthz", "/readyz"}
    served = (ROOT / "runner/web/serving/app.py").read_text()
    assert all(f'Route("{path}"' in served for path in probed)


def test_somebody_is_always_there_to_receive() -> None:
    """Dataverse tries a webhook again once, and somebody waits for an inline step."""
    receiver = CONTAINERS.block("resource receiver ")
    assert int(re.search(r"minReplicas: (\d+)", receiver)[1]) >= 2
    assert "alwaysReady: [{ name: 'http', instanceCount: 1 }]" in FUNCTIONS.text


def test_a_worker_that_is_stopped_has_time_to_finish_a_request_to_stripe_and_to_dataverse() -> None:
    worker = CONTAINERS.block("resource worker ")
    assert int(re.search(r"terminationGracePeriodSeconds: (\d+)", worker)[1]) >= 60


def test_the_platforms_rights_are_not_the_containers() -> None:
    assert "identitySettings = [{ identity: platformIdentity.id, lifecycle: 'None' }]" in CONTAINERS.text
    assert CONTAINERS.text.count("identitySettings: identitySettings") == CONTAINERS.text.count("image: fullImage") == 3


def test_nobody_comes_with_a_key_instead_of_an_identity() -> None:
    assert "disableLocalAuth: true" in MESSAGING.text
    assert "allowSharedKeyAccess: false" in FUNCTIONS.text
    assert "enableRbacAuthorization: true" in BicepFile(INFRA / "modules/vault.bicep").text


def test_real_money_moves_only_where_it_is_asked_for() -> None:
    assert SHARED["STRIPE_LIVE"] == "stripeLive ? 'yes' : 'no'"
    assert "param stripeLive bool = false" in MAIN.text


def test_functions_keep_what_they_write_where_they_may_write() -> None:
    assert OF_FUNCTIONS["RUNNER_DATA_DIR"] == "'/tmp/runner'"


def test_the_sample_parameters_fit() -> None:
    sample = BicepFile(INFRA / "main.sample.bicepparam")
    given = set(re.findall(r"^param (\w+) = ", sample.text, re.MULTILINE))
    assert "using 'main.bicep'" in sample.text
    assert MAIN.required <= given <= set(MAIN.declared("param"))


@pytest.mark.parametrize("setting", ["DATAVERSE_WEBHOOK_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"])
def test_secrets_are_references_to_the_vault(setting: str) -> None:
    (reference,) = references(EXAMPLES[setting])
    assert reference.source == "keyvault"
    assert re.fullmatch(r"[a-z][a-z0-9-]+", reference.name)
    assert f"keep {reference.name}" in (ROOT / "docs/deploy-azure.md").read_text()


@pytest.mark.parametrize(
    ("broken", "said"),
    [("var a = [1\n", "not closed"), ("var a = 1]\n", "closes nothing"), ("var a = 'b\nvar c = 'd'\n", "not closed")],
)
def test_a_broken_file_is_found(broken: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.bicep"
    path.write_text(broken)
    with pytest.raises(ValueError, match=said):
        BicepFile(path)


def test_what_is_misspelt_or_left_over_is_found(tmp_path: Path) -> None:
    path = tmp_path / "odd.bicep"
    path.write_text("param used string\nparam left string\nvar a = '${used}-${misspelt}'\noutput b string = a\n")
    assert (BicepFile(path).undeclared, BicepFile(path).unused) == ({"misspelt"}, {"left"})
