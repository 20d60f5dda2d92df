"""What a webhook and a Service Bus endpoint are told, over a real connection, and what their answers do."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from ports import nobody_listens

from azure_bridge.queues.contract import MessageTooLargeError, QueueUnavailableError
from azure_bridge.queues.embedded import EmbeddedQueue
from dataverse_client.types import (
    Entity,
    EntityReference,
    Money,
    OptionSetValue,
    OrganizationRequest,
    QueryExpression,
)
from runner.emulator.emulator import Emulator
from runner.emulator.notifications.faults import WebhooksHttpRequestTimedOut
from runner.emulator.notifications.notification import NotifyingEnvironment, WebhookNotification
from runner.emulator.notifications.service_endpoints import AuthType, Contract, ServiceEndpoint
from runner.execution.step import Step
from runner.plugin import InvalidPluginExecutionException, Plugin
from runner.remote_context.context import RemoteContext

ACCOUNT = Entity("account", attributes={"name": "Contoso/7"})
#: In Target and in the parent's, each of the quotes two bytes long.
LONG = Entity("new_payment", attributes={"new_name": "7", "new_stripeledger": '"' * 80_000})
CLAIMS = "http://schemas.microsoft.com/xrm/2011/Claims/"
SETTINGS = '<settings><setting name="X-Key" value="s3cret-key" /><setting name="tenant" value="9" /></settings>'

ENTITY = '<!DOCTYPE a [<!ENTITY e "x">]><settings><setting name="a" value="&e;"/></settings>'


@pytest.fixture
def hooked(web, webhook, receiver):
    """Registers a webhook at the receiver, and a step for it."""

    def register(*what, endpoint=None, **more):
        return web.register(*what, endpoint=webhook(receiver.url, **(endpoint or {})), **more)

    return register


def job_of(service):
    columns = ("statecode", "statuscode", "message", "errorcode", "retrycount", "owningextensionid")
    (job,) = service.retrieve_multiple(QueryExpression.of("asyncoperation", *columns))
    return job


# --- what is posted -------------------------------------------------------------------------------------------


@pytest.mark.behaviour(
    "Notifications", "A webhook is posted the RemoteExecutionContext as JSON; IsolationMode is 1", "use-webhooks"
)
def test_a_webhook_is_told_what_happened(crm, service, hooked, receiver):
    step = hooked()
    id = service.create(ACCOUNT)
    (request,) = receiver.heard
    context = RemoteContext.decode(request.body).context
    assert (context.message_name, context.primary_entity_id, context.stage, context.mode) == ("Create", id, 40, 0)
    assert context.target["name"] == "Contoso/7"
    assert context.output_parameters == {"id": id}
    assert context.owning_extension == EntityReference("sdkmessageprocessingstep", step)
    assert (context.is_in_transaction, context.isolation_mode) == (True, 1)
    assert context.operation_id == context.request_id


@pytest.mark.behaviour("Notifications", "A notification's ParentContext is the request at stage 30", "observed")
def test_the_request_comes_first_in_the_parent_context(service, hooked, receiver):
    hooked()
    service.create(ACCOUNT)
    parent = RemoteContext.decode(receiver.heard[0].body).context.parent_context
    assert (parent.stage, parent.owning_extension.name) == (30, "ObjectModel Implementation")
    assert "createdon" not in parent.target


@pytest.mark.behaviour(
    "Notifications", "Target of Create carries formatted values, the parent's Target none", "observed"
)
def test_a_created_row_comes_with_its_values_as_people_read_them(service, hooked, receiver):
    hooked(table="new_payment")
    service.create(Entity("new_payment", attributes={"new_name": "7", "new_amount": Money(Decimal("10.50"))}))
    context = RemoteContext.decode(receiver.heard[0].body).context
    assert context.target.formatted_values["new_amount"] == "$10.5000"
    assert context.target.formatted_values["new_paymentstatus"] == "Draft"
    assert context.parent_context.target.formatted_values == {}


@pytest.mark.behaviour(
    "Notifications", "x-ms-dynamics-* headers name organization, table, message and correlation", "use-webhooks"
)
def test_headers_say_what_the_body_is_about(crm, service, hooked, receiver):
    hooked()
    service.create(ACCOUNT)
    (request,) = receiver.heard
    said = {name.lower(): value for name, value in request.headers.items() if name.startswith("x-ms")}
    assert said == {
        "x-ms-dynamics-organization": "embedded.dataverse.local",
        "x-ms-dynamics-entity-name": "account",
        "x-ms-dynamics-request-name": "Create",
        "x-ms-correlation-request-id": RemoteContext.decode(request.body).context.correlation_id,
    }
    assert request.headers["Content-Type"] == "application/json"


def test_amounts_choices_and_images_travel_exactly(web, service, hooked, receiver):
    step = hooked("Update", "new_payment")
    image = {"name": "before", "entityalias": "before", "imagetype": 0, "messagepropertyname": "Target"}
    bound = {"sdkmessageprocessingstepid@odata.bind": f"/sdkmessageprocessingsteps({step})"}
    web.post("sdkmessageprocessingstepimages", **image, **bound, attributes="new_amount")
    row = Entity("new_payment", attributes={"new_name": "7", "new_amount": Money(Decimal("10.50"))})
    id = service.create(row)
    service.update(Entity("new_payment", id, {"new_paymentstatus": OptionSetValue(100000001)}))
    context = RemoteContext.decode(receiver.heard[0].body).context
    assert context.target["new_paymentstatus"] == OptionSetValue(100000001)
    assert context.pre_image("before")["new_amount"] == Money(Decimal("10.50"))


def test_a_webhook_of_retrieve_multiple_gets_the_query(service, hooked, receiver):
    hooked("RetrieveMultiple")
    service.retrieve_multiple(QueryExpression.of("account", "name"))
    query = RemoteContext.decode(receiver.heard[0].body).context.input_parameters["Query"]
    assert query["EntityName"] == "account"
    assert query["ColumnSet"]["Columns"] == ["name"]


def test_a_retrieval_names_its_columns(service, hooked, receiver):
    hooked("Retrieve")
    service.retrieve("account", service.create(ACCOUNT), ["name"])
    assert RemoteContext.decode(receiver.heard[0].body).context.input_parameters["ColumnSet"] == ("name",)


def test_a_webhook_gets_the_query_of_a_web_api_request(web, hooked, receiver):
    hooked("RetrieveMultiple")
    web.get("accounts?$select=name&$filter=name eq 'A'")
    assert b'"EntityName":"account"' in receiver.heard[0].body


def test_a_webhook_of_retrieve_gets_the_row(service, hooked, receiver):
    hooked("Retrieve")
    service.retrieve("account", service.create(ACCOUNT), ["name"])
    context = RemoteContext.decode(receiver.heard[0].body).context
    assert context.output_parameters["BusinessEntity"]["name"] == "Contoso/7"


@pytest.mark.behaviour(
    "Notifications", "WebhookKey, HttpHeader and HttpQueryString prove the sender", "register-web-hook"
)
@pytest.mark.parametrize(
    ("endpoint", "query", "header"),
    [
        ({"authtype": 4, "authvalue": "s3cret-key"}, {"tenant": "7", "code": "s3cret-key"}, None),
        ({"authtype": 5, "authvalue": SETTINGS}, {"tenant": "7"}, "s3cret-key"),
        ({"authtype": 6, "authvalue": SETTINGS}, {"tenant": "9", "X-Key": "s3cret-key"}, None),
        ({"authtype": 5, "authvalue": "<settings></settings>"}, {"tenant": "7"}, None),
    ],
    ids=["WebhookKey", "HttpHeader", "HttpQueryString", "none"],
)
def test_the_sender_proves_itself(service, hooked, receiver, endpoint, query, header):
    hooked(endpoint=endpoint)
    service.create(ACCOUNT)
    (request,) = receiver.heard
    assert (request.query, request.headers["X-Key"]) == (query, header)


@pytest.mark.behaviour(
    "Notifications",
    "Over 256 KB ParentContext, InputParameters and images are left out, and a header says so",
    "use-webhooks",
)
def test_a_long_notification_leaves_out_what_makes_it_long(service, hooked, receiver):
    hooked(table="new_payment")
    id = service.create(LONG)
    (request,) = receiver.heard
    remote = RemoteContext.decode(request.body)
    assert request.headers["x-ms-dynamics-msg-size-exceeded"] == "true"
    assert remote.is_trimmed
    assert (remote.context.primary_entity_id, remote.context.output_parameters) == (id, {"id": id})


# --- what the answer does -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_is_success(service, hooked, receiver, status):
    receiver.said = b""
    receiver.answers.append(status)
    hooked()
    assert service.create(ACCOUNT)


@pytest.mark.behaviour(
    "Notifications",
    "An answer that is no success cancels a synchronous webhook's operation with 0x80050201",
    "use-webhooks",
)
@pytest.mark.parametrize("status", [301, 400, 401, 404, 408, 429, 500])
def test_any_other_answer_cancels_the_operation_at_once(web, hooked, names, receiver, status):
    receiver.answers.append(status)
    receiver.said = b"The customer is blocked"
    hooked(stage=20)
    refusal = web.refusal("POST", "accounts", name="A")
    assert (refusal.status, refusal.code) == (400, 0x80050201)
    assert f"answered {status}: The customer is blocked" in refusal.message
    assert (names(), len(receiver.heard)) == ([], 1)


@pytest.mark.behaviour("Notifications", "502, 503 and 504 are asked exactly once more", "use-webhooks")
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_that_is_away_is_asked_once_more(service, hooked, receiver, status):
    receiver.answers.extend([status, 200])
    hooked()
    service.create(ACCOUNT)
    first, second = receiver.heard
    assert first.body == second.body


def test_a_gateway_that_stays_away_is_asked_twice_and_no_more(web, hooked, receiver):
    receiver.answers.extend([503, 504, 200])
    hooked()
    assert web.refusal("POST", "accounts", name="A").code == 0x80050201
    assert len(receiver.heard) == 2


@pytest.mark.behaviour(
    "Notifications", "A synchronous webhook that fails at stage 40 undoes the operation", "use-webhooks"
)
def test_a_failure_after_the_row_is_written_takes_it_back(web, hooked, names, receiver):
    receiver.answers.append(500)
    hooked(stage=40)
    web.refusal("POST", "accounts", name="A")
    assert names() == []


def test_an_endpoint_that_is_not_there_cancels_the_operation(web, webhook, names):
    with nobody_listens() as url:
        web.register(endpoint=webhook(f"{url}/x?secret=hidden"))
        refusal = web.refusal("POST", "accounts", name="A")
    assert (refusal.status, refusal.code, names()) == (400, 0x80050205, [])
    assert "hidden" not in refusal.message


def test_a_host_that_cannot_be_one_cancels_the_operation(web, webhook):
    web.register(endpoint=webhook(f"https://{'a' * 70}.example/hook"))
    assert web.refusal("POST", "accounts", name="A").code == 0x80050205


@pytest.mark.behaviour("Notifications", "A webhook that does not answer in time fails with 0x80050202", "use-webhooks")
def test_an_endpoint_has_only_so_long(crm, service, serving):
    crm.register(Step(plugin=Look(), message="Create", entity="account", stage=40))
    service.create(ACCOUNT)
    context, over = crm.executions[-1].context, threading.Event()
    with serving(lambda request: over.wait(30)) as url:
        endpoint = ServiceEndpoint("", "a hook", Contract.WEBHOOK, AuthType.WEBHOOK_KEY, "s3cret-key", url)
        with pytest.raises(WebhooksHttpRequestTimedOut, match=r"within 0\.1 seconds") as refused:
            WebhookNotification(endpoint, NotifyingEnvironment("host", lambda target: None), timeout=0.1).execute(
                context
            )
        over.set()
    assert "s3cret-key" not in str(refused.value)


class Look(Plugin):
    def execute(self, context):
        pass


@pytest.mark.parametrize("authvalue", ["X-Key: v", "<settings><setting name='a'/></settings>", ENTITY])
@pytest.mark.parametrize(("authtype", "code"), [(5, 0x80050203), (6, 0x80050204)])
def test_settings_that_cannot_be_read_fail_the_step(web, hooked, receiver, authtype, authvalue, code):
    hooked(endpoint={"authtype": authtype, "authvalue": authvalue})
    assert web.refusal("POST", "accounts", name="A").code == code
    assert receiver.heard == []


@pytest.mark.parametrize(("name", "value"), [("X-Key", "a&#10;b"), ("X-Key", "ключ"), ("ключ", "a")])
def test_a_header_http_does_not_know_fails_the_step(web, hooked, name, value):
    hooked(endpoint={"authtype": 5, "authvalue": f'<settings><setting name="{name}" value="{value}" /></settings>'})
    assert web.refusal("POST", "accounts", name="A").code == 0x80050203


def test_a_step_that_refuses_before_leaves_the_webhook_in_peace(crm, web, hooked, receiver):
    class Refuse(Plugin):
        def execute(self, context):
            raise InvalidPluginExecutionException("No.")

    crm.register(Step(plugin=Refuse(), message="Create", entity="account", stage=10))
    hooked()
    assert web.refusal("POST", "accounts", name="A").message == "No."
    assert receiver.heard == []


@pytest.mark.behaviour("Notifications", "Webhooks leave no row in the trace log", "common")
def test_secrets_show_in_no_trace_and_webhooks_leave_no_trace_log(crm, web, service, hooked, receiver):
    receiver.answers.append(400)
    receiver.said = b"wrong key s3cret-key"
    hooked()
    refusal = web.refusal("POST", "accounts", name="A")
    lines = "\n".join(crm.executions[-1].lines)
    assert "answered 400" in lines
    assert "s3cret-key" not in lines + refusal.message
    assert service.retrieve_multiple(QueryExpression.of("plugintracelog")).entities == []


def test_a_disabled_webhook_is_silent(web, service, hooked, receiver):
    web.patch(f"sdkmessageprocessingsteps({hooked()})", statecode=1)
    service.create(ACCOUNT)
    assert receiver.heard == []


def test_a_changed_address_is_used_from_then_on(web, service, webhook, receiver):
    endpoint = webhook("http://127.0.0.1:9/")
    web.register(endpoint=endpoint)
    web.patch(f"serviceendpoints({endpoint})", url=receiver.url, authvalue="another-key")
    service.create(ACCOUNT)
    assert receiver.heard[0].query["code"] == "another-key"


# --- asynchronous steps ---------------------------------------------------------------------------------------


@pytest.mark.behaviour("Notifications", "An asynchronous webhook is told after the commit", "use-webhooks")
def test_an_asynchronous_webhook_is_told_after_the_commit(crm, service, hooked, receiver):
    step = hooked(mode=1)
    service.create(ACCOUNT)
    assert receiver.heard == []
    crm.run_jobs()
    context = RemoteContext.decode(receiver.heard[0].body).context
    job = job_of(service)
    assert (context.mode, context.is_in_transaction, context.operation_id) == (1, False, job.id)
    assert context.post_image("AsynchronousStepPrimaryName")["name"] == "Contoso/7"
    assert context.parent_context.owning_extension.id == step
    assert (job["statuscode"], job["owningextensionid"].id) == (OptionSetValue(30), step)


@pytest.mark.behaviour(
    "Notifications", "An asynchronous webhook that fails fails its job and cancels nothing", "use-webhooks"
)
def test_an_asynchronous_webhook_that_fails_fails_its_job(crm, service, hooked, names, receiver):
    receiver.answers.append(500)
    hooked(mode=1)
    service.create(ACCOUNT)
    crm.run_jobs()
    job = job_of(service)
    assert (job["statecode"], job["statuscode"]) == (OptionSetValue(3), OptionSetValue(31))
    assert (job["errorcode"] & 0xFFFFFFFF, "answered 500" in job["message"]) == (0x80050201, True)
    assert (names(), len(receiver.heard)) == (["Contoso/7"], 1)


def test_a_job_that_succeeds_is_deleted_where_the_step_says_so(crm, service, hooked):
    hooked(mode=1, asyncautodelete=True)
    service.create(ACCOUNT)
    crm.run_jobs()
    assert service.retrieve_multiple(QueryExpression.of("asyncoperation")).entities == []


# --- Service Bus ----------------------------------------------------------------------------------------------


@pytest.fixture
def queue(tmp_path, clock):
    queue = EmbeddedQueue(tmp_path / "queue.db", "dataverse-events", clock=clock)
    yield queue
    queue.close()


@pytest.fixture
def sent(queue):
    """What the embedded queue holds."""

    def messages():
        return [received.message for received in queue.receive(10, timedelta(0))]

    return messages


@pytest.fixture
def crm(clock, queue, request):
    sender = getattr(request, "param", queue)
    senders = None if sender == "nothing" else lambda endpoint: sender
    with Emulator(clock=clock, service_bus_senders=senders) as emulator:
        yield emulator


@pytest.fixture
def bus_step(web):
    """Registers a queue endpoint, and an asynchronous step for it."""

    def register(contract=6, table="account"):
        endpoint = {"name": "a queue", "contract": contract, "authtype": 2, "saskeyname": "send", "saskey": "s3cret="}
        address = {"namespaceaddress": "sb://contoso.servicebus.windows.net/", "path": "dataverse-events"}
        endpoint_id = web.post("serviceendpoints", **endpoint, **address, messageformat=2)
        return web.register(table=table, endpoint=endpoint_id, mode=1)

    return register


@pytest.mark.behaviour(
    "Notifications", "Service Bus gets the notification with claims as application properties", "azure-integration"
)
@pytest.mark.parametrize("contract", [2, 5, 6], ids=["queue", "topic", "persistent queue"])
def test_service_bus_gets_the_notification_with_its_claims(crm, service, bus_step, sent, contract):
    step = bus_step(contract)
    id = service.create(ACCOUNT)
    crm.run_jobs()
    (message,) = sent()
    context = RemoteContext.decode(message.body).context
    assert (context.primary_entity_id, context.owning_extension.id) == (id, step)
    assert message.correlation_id == context.correlation_id
    assert message.application_properties == {
        f"{CLAIMS}Organization": "embedded.dataverse.local",
        f"{CLAIMS}User": crm.administrator_id,
        f"{CLAIMS}InitiatingUser": crm.administrator_id,
        f"{CLAIMS}EntityLogicalName": "account",
        f"{CLAIMS}RequestName": "Create",
        f"{CLAIMS}InitiatingUserAgent": "",
    }


@pytest.mark.behaviour(
    "Notifications", "Over 192 KB a Service Bus message is trimmed and says MessageMaxSizeExceeded", "azure-integration"
)
def test_a_message_over_the_limit_says_so(crm, service, bus_step, sent):
    bus_step(table="new_payment")
    service.create(LONG)
    crm.run_jobs()
    (message,) = sent()
    assert message.application_properties["MessageMaxSizeExceeded"] == "true"
    assert RemoteContext.decode(message.body).is_trimmed


class Failing:
    def __init__(self, error):
        self.error = error
        self.attempts = 0

    def send(self, messages):
        self.attempts += 1
        raise self.error


TOO_LARGE, AWAY = Failing(MessageTooLargeError("too large")), Failing(QueueUnavailableError("away"))


@pytest.mark.parametrize("crm", [TOO_LARGE], indirect=True)
def test_a_message_that_is_too_large_fails_its_job(crm, service, bus_step):
    bus_step()
    service.create(ACCOUNT)
    crm.run_jobs()
    job = job_of(service)
    assert (job["statuscode"], job["errorcode"] & 0xFFFFFFFF) == (OptionSetValue(31), 0x80050208)


@pytest.mark.behaviour(
    "Notifications", "A Service Bus that is away is tried again, and the job fails in the end", "azure-integration"
)
@pytest.mark.parametrize("crm", [AWAY], indirect=True)
def test_a_service_bus_that_is_away_is_tried_again_and_not_without_end(crm, service, bus_step):
    AWAY.attempts = 0
    bus_step()
    service.create(ACCOUNT)
    crm.run_jobs()
    job = job_of(service)
    assert (job["statuscode"], job["errorcode"] & 0xFFFFFFFF) == (OptionSetValue(31), 0x80044179)
    assert (AWAY.attempts, job["retrycount"]) == (4, 3)


@pytest.mark.parametrize("crm", ["nothing"], indirect=True)
def test_without_a_sender_the_job_says_what_is_missing(crm, service, bus_step):
    bus_step()
    service.create(ACCOUNT)
    crm.run_jobs()
    assert "service_bus_senders" in job_of(service)["message"]


@pytest.mark.behaviour("Notifications", "Steps of a Service Bus endpoint are asynchronous", "azure-integration")
def test_a_queue_cannot_be_told_inside_the_transaction(web, bus_step):
    step = bus_step()
    refusal = web.refusal("PATCH", f"sdkmessageprocessingsteps({step})", mode=0)
    assert (refusal.status, "asynchronous" in refusal.message) == (400, True)


def test_a_new_file_is_told_as_an_update_of_its_column(crm, web, hooked, receiver):
    """The parent's context is the commit, with the blocks it lists."""
    with crm.customizing() as customizations:
        customizations.create_column("account", "new_receipt", {"type": "File", "schema_name": "new_Receipt"})
    account = EntityReference("account", crm.service().create(ACCOUNT))
    hooked("Update")
    place = {"Target": account, "FileAttributeName": "new_receipt", "FileName": "receipt.txt"}
    upload = crm.execute(OrganizationRequest("InitializeFileBlocksUpload", place)).results
    block = {"BlockId": "MQ==", "BlockData": b"paid", **upload}
    crm.execute(OrganizationRequest("UploadBlock", block))
    end = {"BlockList": ["MQ=="], "FileName": "receipt.txt", "MimeType": "text/plain", **upload}
    file_id = crm.execute(OrganizationRequest("CommitFileBlocksUpload", end)).results["FileId"]

    (request,) = receiver.heard
    context = RemoteContext.decode(request.body).context
    assert (context.message_name, context.target["new_receipt"]) == ("Update", file_id)
    assert context.target["new_receipt_name"] == "receipt.txt"
