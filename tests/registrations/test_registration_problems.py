"""Everything the check finds wrong: where it stands, what is wrong, and what would be right."""

from __future__ import annotations

import textwrap

import pytest

from runner.registrations.load import RegistrationError, parse
from runner.registrations.problems import Problem

STEP = """\
steps:
  - name: A
    plugin: plugins.payments:Create
    message: Update
    entity: account
    stage: 40
"""


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(RegistrationError) as refused:
        parse(textwrap.dedent(text), "r.yaml")
    return refused.value.problems


def only_problem(text: str) -> str:
    (problem,) = problems(text)
    return str(problem)


def step(**keys: str) -> str:
    """A sound step with some keys changed, each on a line of its own."""
    lines = dict(line.strip(" -\n").split(": ", 1) for line in STEP.splitlines()[1:]) | keys
    return "steps:\n  - " + "\n    ".join(f"{key}: {value}" for key, value in lines.items())


WRONG_STEPS = {
    "stage 30 is the platform's own": (
        {"stage": "30"},
        "r.yaml:6:12: steps[0].stage: 30 is not allowed here. Use 10 (PreValidation), 20 (PreOperation) or 40",
        0x80044184,
    ),
    "a stage is a number": ({"stage": "'20'"}, "steps[0].stage: '20' is not allowed here.", 0x80044184),
    "async comes after the commit": (
        {"stage": "20", "mode": "async"},
        "r.yaml:7:11: steps[0].mode: An asynchronous step cannot run at stage 20. Use stage 40, or mode: sync.",
        0x80044184,
    ),
    "a name is one line": (
        {"name": '"A\\nB"'},
        "steps[0].name: 'A\\nB' is not written as it must be. Write it in one line.",
        None,
    ),
    "a name can be seen": ({"name": "' '"}, "steps[0].name: ' ' is not written as it must be.", None),
    "columns have logical names": (
        {"filtering_attributes": "[new amount]"},
        "steps[0].filtering_attributes[0]: 'new amount' is not written as it must be. Write a column's logical name",
        None,
    ),
    "a reference names a source there is": (
        {"configuration": "{ keys: ['${keyvalut:partner}'] }"},
        "steps[0].configuration.keys[0]: ${keyvalut:partner} cannot be looked up. Write ${env:NAME}",
        None,
    ),
    "a reference names a secret": ({"run_as": "${env:}"}, "steps[0].run_as: ${env:} cannot be looked up.", None),
    "a date is no stage": ({"stage": "2026-01-01"}, "steps[0].stage: 2026-01-01 is not allowed here.", 0x80044184),
    "what its tag cannot be": ({"stage": "!!int ''"}, "values cannot be read. Write plain text, a number", None),
    "what no timestamp can be": ({"stage": "!!timestamp soon"}, "values cannot be read. Write plain text", None),
    "what no truth can be": ({"enabled": "!!bool maybe"}, "values cannot be read. Write plain text", None),
    "modes have two names": ({"mode": "later"}, "steps[0].mode: 'later' is not allowed here. Use sync or async.", None),
    "no post-image before the row is written": (
        {"stage": "20", "images": "[{type: post, alias: a}]"},
        "r.yaml:7:21: steps[0].images[0].type: There is no post-image at stage 20",
        0x8004416E,
    ),
    "both means post as well": (
        {"stage": "20", "images": "[{type: both, alias: a}]"},
        "There is no post-image at stage 20: the row is not written yet. Use stage 40, or type: pre.",
        0x8004416E,
    ),
    "no pre-image of what is created": (
        {"message": "Create", "images": "[{type: pre, alias: a}]"},
        "Create has no pre-image: there is no row before it is created. Use type: post.",
        0x8004416D,
    ),
    "no post-image of what is deleted": (
        {"message": "Delete", "images": "[{type: post, alias: a}]"},
        "Delete has no post-image: there is no row after it is deleted. Use type: pre.",
        0x8004416D,
    ),
    "what is deleted has none at any stage": (
        {"message": "Delete", "stage": "20", "images": "[{type: post, alias: a}]"},
        "Delete has no post-image: there is no row after it is deleted. Use type: pre.",
        0x8004416D,
    ),
    "an alias fits into its column": (
        {"images": f"[{{type: pre, alias: {'a' * 257}}}]"},
        "steps[0].images[0].alias: This is longer than 256 characters.",
        0x80044331,
    ),
    "a name fits with its message and table": (
        {"name": "n" * 240},
        "<name>: Update of account, has 259 characters of at most 256. Shorten it.",
        0x80044331,
    ),
    "a rank has 32 bits": ({"rank": str(2**31)}, "steps[0].rank: This must be less than 2147483648.", None),
    "two minutes are the limit": ({"timeout": "121"}, "steps[0].timeout: This must be at most 120.0.", None),
    "Retrieve has no images": (
        {"message": "Retrieve", "images": "[{type: pre, alias: a}]"},
        "steps[0].images: Retrieve supports no images.",
        0x80044189,
    ),
    "custom APIs have no images": (
        {"message": "new_Capture", "images": "[{type: pre, alias: a}]"},
        "steps[0].images: new_Capture supports no images.",
        0x80044189,
    ),
    "aliases differ": (
        {"images": "[{type: pre, alias: a}, {type: both, alias: a}]"},
        "r.yaml:7:57: steps[0].images[1].alias: Another image of this step is called 'a'.",
        None,
    ),
    "only Update is filtered": (
        {"message": "Create", "filtering_attributes": "[name]"},
        "r.yaml:7:27: steps[0].filtering_attributes: Create cannot be filtered by columns.",
        None,
    ),
    "a message is spelled as Dataverse spells it": (
        {"message": "update"},
        "r.yaml:4:14: steps[0].message: Dataverse has no message 'update'. Did you mean Update?",
        None,
    ),
    "an unknown message may be a custom API's": (
        {"message": "Capture"},
        "Dataverse has no message 'Capture'. Custom APIs carry a publisher's prefix: new_CapturePayment.",
        None,
    ),
    "a request that carries others runs no step": (
        {"message": "ExecuteMultiple"},
        "Dataverse runs no custom step on ExecuteMultiple.",
        0x80044187,
    ),
    "a request that comes down to others runs no step": (
        {"message": "Upsert"},
        "Dataverse runs no custom step on Upsert. Register the messages it carries or causes instead",
        0x80044187,
    ),
    "Associate has no table": (
        {"message": "Associate"},
        "r.yaml:5:13: steps[0].entity: Associate belongs to no table, and this step names account.",
        0x80044187,
    ),
    "run_as is an id": ({"run_as": "bob"}, "steps[0].run_as: 'bob' is not a user's id. Give the systemuserid", None),
    "endpoints exist": ({"endpoint": "bus"}, "There is no endpoint 'bus'. Add it under endpoints.", None),
    "inline is synchronous": (
        {"mode": "async", "delivery": "inline"},
        "steps[0].delivery: An asynchronous step runs after the commit, so it cannot be delivered inline.",
        None,
    ),
    "a plug-in is module:Class": (
        {"plugin": "plugins.payments.Create"},
        "steps[0].plugin: 'plugins.payments.Create' is not written as it must be. Write it as module:Class",
        None,
    ),
    "names are text": ({"name": "7"}, "r.yaml:2:11: steps[0].name: This must be text, and it is a number.", None),
    "true is no mode": ({"mode": "true"}, "steps[0].mode: 'true' is not allowed here. Use sync or async.", None),
    "true is no rank": (
        {"rank": "true"},
        "steps[0].rank: This must be a whole number, and it is true or false.",
        None,
    ),
    "true is no timeout": ({"timeout": "true"}, "steps[0].timeout: This must be a number, and it is true or", None),
    "text is no timeout": ({"timeout": "'5'"}, "steps[0].timeout: This must be a number, and it is text.", None),
    "true is no stage": ({"stage": "true"}, "steps[0].stage: True is not allowed here. Use 10", 0x80044184),
    "ranks are whole numbers": ({"rank": "1.5"}, "steps[0].rank: This must be a whole number, and it is", None),
    "configuration is a mapping or text": (
        {"configuration": "[1]"},
        "steps[0].configuration: This must be a mapping of keys to values, and it is a list. Write a mapping, or text.",
        None,
    ),
    "keys are known": (
        {"filtering_atributes": "[name]"},
        "r.yaml:7:5: steps[0].filtering_atributes: There is no such key. Did you mean filtering_attributes?",
        None,
    ),
    "keys of images are known": (
        {"images": "[{type: pre, alias: a, atributes: [name]}]"},
        "r.yaml:7:36: steps[0].images[0].atributes: There is no such key. Did you mean attributes?",
        None,
    ),
}


@pytest.mark.behaviour(
    "Registration",
    "Wrong stages, modes, images, filters and tables of steps are refused, each with its code",
    "reference/web-service-error-codes",
)
@pytest.mark.parametrize(("keys", "said", "code"), WRONG_STEPS.values(), ids=WRONG_STEPS.keys())
def test_a_wrong_step_is_refused(keys: dict[str, str], said: str, code: int | None) -> None:
    (problem,) = problems(step(**keys))
    assert said in str(problem)
    assert problem.code == code


def test_dataverse_s_code_and_page_come_with_the_problem() -> None:
    said = only_problem(step(stage="30"))
    assert said.endswith(
        "[0x80044184, https://learn.microsoft.com/power-apps/developer/data-platform/register-plug-in"
        "#event-pipeline-stage-of-execution]"
    )


ENDPOINTS = """
endpoints:
  bus:
    type: service-bus-queue
    namespace: contoso.servicebus.windows.net
    queue: events
    shared_access_key_name: send
    shared_access_key: ${env:BUS_KEY}
"""

WRONG_FILES = {
    "a missing key": (
        "steps:\n  - {plugin: 'a:B', message: Create, stage: 20}\n",
        "r.yaml:2:5: steps[0].name: name is missing.",
    ),
    "an unknown section": (STEP + "bridg: {}\n", "r.yaml:7:1: bridg: There is no such key. Did you mean bridge?"),
    "a key twice": ("entities:\n  a: account\n  a: contact\n", "r.yaml:3:3: entities.a: This key is there twice."),
    "lists without end": (f"steps: {'[' * 3000}{']' * 3000}", "r.yaml:1:1: This is not YAML: It is nested too deeply."),
    "a list that is none": ("steps: 5\n", "r.yaml:1:8: steps: This must be a list, and it is a number."),
    "a file that is a list": ("- 1\n", "r.yaml:1:1: This must be a mapping of keys to values, and it is a list."),
    "an empty file": ("# nothing\n", "r.yaml:1:1: The file is empty."),
    "broken YAML": ("steps: [\n", "r.yaml:2:1: This is not YAML:"),
    "a character YAML forbids": ("steps:\n  - \x07\n", "r.yaml:2:5: This is not YAML: "),
    "an anchor inside itself": ("steps: &a [*a]\n", "r.yaml:1:8: This is not YAML: An anchor contains itself."),
    "two documents": ("steps: []\n---\nsteps: []\n", "r.yaml:2:1: This is not YAML:"),
    "a misspelled endpoint": (
        step(endpoint="buss") + ENDPOINTS,
        "r.yaml:7:15: steps[0].endpoint: There is no endpoint 'buss'. Did you mean bus?",
    ),
    "inline over Service Bus": (
        step(endpoint="bus", delivery="inline") + ENDPOINTS,
        "r.yaml:8:15: steps[0].delivery: Dataverse does not wait for Service Bus",
    ),
    "an unknown kind of endpoint": (
        "endpoints:\n  x: {type: webhok}\n",
        "r.yaml:2:6: endpoints.x: There is no type 'webhok' here. Use 'webhook', 'service-bus-queue'",
    ),
    "an unknown key of an endpoint": (
        ENDPOINTS + "    topik: x\n",
        "endpoints.bus.topik: There is no such key. Known: namespace",
    ),
    "a port Dataverse does not post to": (
        "endpoints:\n  x: {type: webhook, url: 'https://a.b:8443/', auth: {type: webhook-key, value: '${env:K}'}}\n",
        "r.yaml:2:27: endpoints.x.url: Dataverse does not post to port 8443 of https, only to http on 80",
    ),
    "the other scheme's port": (
        "endpoints:\n  x: {type: webhook, url: 'http://a.b:443/', auth: {type: webhook-key, value: '${env:K}'}}\n",
        "endpoints.x.url: Dataverse does not post to port 443 of http, only to http on 80 and https on 443.",
    ),
    "an address that is too long": (
        f"endpoints:\n  x: {{type: webhook, url: 'https://a.b/{'c' * 2000}', "
        "auth: {type: webhook-key, value: '${env:K}'}}\n",
        "endpoints.x.url: This is longer than 2000 characters. [0x80044331]",
    ),
    "a webhook that proves nothing": (
        "endpoints:\n  x: {type: webhook, auth: {type: http-header, values: {}}}\n",
        "endpoints.x.auth.values: Nothing here proves who sends. Give at least one value.",
    ),
    "a header that is none": (
        "endpoints:\n  x: {type: webhook, auth: {type: http-header, values: {a b: '${env:K}'}}}\n",
        "endpoints.x.auth.values.a b: 'a b' is no name of a header.",
    ),
    "a namespace as an address": (
        ENDPOINTS.replace("contoso.", "sb://contoso."),
        "endpoints.bus.namespace: 'sb://contoso.servicebus.windows.net' is no host name. Write contoso.servicebus.",
    ),
    "an endpoint without a name": (
        "endpoints:\n  '': {type: webhook, auth: {type: webhook-key, value: '${env:K}'}}\n",
        "r.yaml:2:3: endpoints.: This must not be empty.",
    ),
    "an address that is none": (
        "endpoints:\n  x: {type: webhook, url: hooks, auth: {type: webhook-key, value: '${env:K}'}}\n",
        "endpoints.x.url: This is not an http or https address.",
    ),
    "the event tutorials made up": (
        "bridge: {events: [payment_intent.failed], tables: [{entity: a, metadata_key: K}]}\n",
        "r.yaml:1:19: bridge.events[0]: The bridge applies no Stripe event 'payment_intent.failed'. "
        "Did you mean payment_intent.payment_failed?",
    ),
    "an event nobody knows": (
        "bridge: {events: [moon.landed], tables: [{entity: a, metadata_key: K}]}\n",
        "The bridge applies no Stripe event 'moon.landed'. Known: payment_intent.created, ",
    ),
    "a bridge to nowhere": ("bridge: {events: [], tables: []}\n", "bridge.tables: No table follows the money."),
    "two tables behind one metadata key": (
        "bridge: {events: [], tables: [{entity: a, metadata_key: K}, {entity: b, metadata_key: K}]}\n",
        "bridge.tables[1].metadata_key: Another table has 'K'.",
    ),
    "a status that does not exist": (
        "bridge: {events: [], tables: [{entity: a, metadata_key: K, statuses: {Lost: 1}}]}\n",
        "r.yaml:1:71: bridge.tables[0].statuses.Lost: 'Lost' is not allowed here. Use 'Draft'",
    ),
    "an organization that is no id": (
        "bridge: {events: [], organization_id: x, tables: [{entity: a, metadata_key: K}]}\n",
        "r.yaml:1:39: bridge.organization_id: 'x' is not an organization's id.",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_a_wrong_file_is_refused(text: str, said: str) -> None:
    assert said in only_problem(text)


def test_a_status_number_means_one_thing() -> None:
    first, second = problems(
        "bridge: {events: [], tables: [{entity: a, metadata_key: K, statuses: {Failed: 1, Draft: 1}}]}"
    )
    assert (first.path, second.path) == ("bridge.tables[0].statuses.Failed", "bridge.tables[0].statuses.Draft")


@pytest.mark.behaviour("Registration", "A step registered twice is refused", "common")
def test_two_steps_that_would_do_the_same_twice_are_refused() -> None:
    twin = STEP.replace("name: A", "name: B").removeprefix("steps:\n")
    said = only_problem(STEP + twin)
    assert said.startswith("r.yaml:7:5: steps[1]: The step 'A' is the same message, table, stage, plug-in and filter.")


def test_an_alias_and_its_table_are_the_same_table() -> None:
    twin = STEP.replace("name: A", "name: B").replace("account", "customer").removeprefix("steps:\n")
    assert "The step 'A' is the same" in only_problem("entities: {customer: account}\n" + STEP + twin)


def test_steps_that_differ_in_their_filter_are_two_steps() -> None:
    twin = STEP.replace("name: A", "name: B").removeprefix("steps:\n") + "    filtering_attributes: [name]\n"
    assert len(parse(STEP + twin).steps) == 2


def test_two_steps_of_one_name_are_refused() -> None:
    twin = STEP.replace("account", "contact").removeprefix("steps:\n")
    assert only_problem(STEP + twin).startswith("r.yaml:7:11: steps[1].name: Another step is called 'A'.")


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    found = problems(step(message="Create", stage="15", filtering_attributes="[a]", colour="red") + "\nbridg: 1\n")
    assert [problem.path for problem in found] == [
        "steps[0].stage",
        "steps[0].filtering_attributes",
        "steps[0].colour",
        "bridg",
    ]


SECRETS = {
    "a Stripe API key": "sk_test_51abcDEF",
    "a restricted key": "rk_live_51abcDEF",
    "a webhook secret": "whsec_abcDEF123",
    "a Service Bus key": "Endpoint=sb://x;SharedAccessKeyName=k;SharedAccessKey=abcDEF=",
    "a storage key": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abcDEF==",
    "a default of a reference": "${env:STRIPE_SECRET_KEY:-sk_test_51abcDEF}",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_is_refused_and_never_printed(secret: str) -> None:
    said = only_problem(step(secure_configuration=f'{{key: "{secret}"}}'))
    assert "steps[0].secure_configuration.key: This looks like " in said
    assert "write a reference such as ${env:NAME}" in said
    assert "abcDEF" not in said


def test_a_secret_in_a_comment_is_one_too() -> None:
    said = only_problem(f"# sk_live_51abcDEF\n{STEP}")
    assert said.startswith("r.yaml:1:3: This looks like a Stripe API key.")
    assert "abcDEF" not in said


def test_a_secret_in_the_wrong_place_is_not_printed_either() -> None:
    assert all("abcDEF" not in str(problem) for problem in problems(step(plugin="sk_live_51abcDEF")))


def test_a_reference_is_no_secret() -> None:
    reference = "Endpoint=sb://x;SharedAccessKey=${keyvault:bus-key}"
    assert parse(step(secure_configuration=f"'{reference}'")).steps[0].secure_configuration == reference


@pytest.mark.parametrize(
    "auth",
    ["{type: webhook-key, value: hunter2}", "{type: http-header, values: {X-Key: hunter2}}"],
    ids=["key", "header"],
)
def test_a_webhook_key_in_plain_text_is_refused_and_never_printed(auth: str) -> None:
    said = only_problem(f"endpoints:\n  x:\n    type: webhook\n    auth: {auth}\n")
    assert "A secret stands here as text. Write a reference" in said
    assert "hunter2" not in said


# --- custom APIs ---------------------------------------------------------------------------------------------


CUSTOM_API = """
custom_apis:
  new_QuotePayment:
    request_parameters:
      Amount: { type: Money }
    response_properties: { Quote: Money }
"""


def test_a_step_may_run_on_a_custom_api_of_the_file() -> None:
    steps = STEP.replace("message: Update", "message: new_QuotePayment").replace("    entity: account\n", "")
    assert len(parse(steps + CUSTOM_API).custom_apis) == 1


@pytest.mark.parametrize(
    ("entity", "said"),
    [("", "is bound to no table, and this step names account"), ("contact", "is bound to contact, and this step")],
    ids=["unbound", "bound to another"],
)
def test_a_step_names_the_table_its_custom_api_is_bound_to(entity: str, said: str) -> None:
    bound = f"    entity: {entity}\n" if entity else ""
    (problem,) = problems(STEP.replace("message: Update", "message: new_QuotePayment") + CUSTOM_API + bound)
    assert said in str(problem)
    assert problem.code == 0x80044187


def test_a_custom_api_is_spelled_as_it_is_declared() -> None:
    steps = STEP.replace("message: Update", "message: new_quotepayment").replace("    entity: account\n", "")
    assert "Did you mean new_QuotePayment?" in only_problem(steps + CUSTOM_API)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CUSTOM_API.replace("new_QuotePayment", "Quote"), "no unique name"),
        (CUSTOM_API.replace("new_QuotePayment", "new_" + "Q" * 125), "This name has 129 characters of at most 128."),
        (CUSTOM_API + "  new_quotepayment: {}\n", "'new_QuotePayment' and 'new_quotepayment' are the same"),
        (CUSTOM_API.replace("Amount", "The Amount"), "'The Amount' is no name. Write it as one word."),
        (CUSTOM_API.replace("Quote:", "A: Money, a:"), "'A' and 'a' are the same to Dataverse."),
        (CUSTOM_API.replace("Amount", "Target") + "    entity: account\n", "has its Target already. Remove it"),
        (CUSTOM_API.replace("Money }", "Money, optional: 'yes' }", 1), "This must be true or false, and it is text."),
        (CUSTOM_API.replace("type: Money", "type: Cash"), "is not allowed here"),
        ("custom_apis:\n  new_Ask: { is_function: true }\n", "A function answers nothing"),
    ],
    ids=[
        "name without a prefix",
        "name too long",
        "names that differ in case only",
        "a name of two words",
        "properties that differ in case only",
        "a Target of one's own",
        "optional in words",
        "unknown type",
        "a function without an answer",
    ],
)
def test_what_dataverse_would_not_take_as_a_custom_api(text: str, said: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        parse(text, "r.yaml")
    assert said in str(refused.value)
