"""``$metadata``, read as strictly as clients that generate code read it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from runner.emulator.custom_api import CustomApi, ParameterType, RequestParameter
from runner.emulator.webapi.signatures import SIGNATURES

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
NAMESPACE = "Microsoft.Dynamics.CRM."
#: The primitive types of OData 4.0 that Dataverse uses.
PRIMITIVES = {
    *("Edm.Binary", "Edm.Boolean", "Edm.Date", "Edm.DateTimeOffset", "Edm.Decimal", "Edm.Double", "Edm.Guid"),
    *("Edm.Int32", "Edm.Int64", "Edm.String"),
}


@pytest.fixture
def document(crm):
    """Reads ``$metadata`` anew."""
    return lambda: ET.fromstring(crm.send("GET", "$metadata").body)  # noqa: S314 - our own document


def one(document, element, name):
    """The only element of that kind and name, as (tag, attributes) with its children."""
    (found,) = (each for each in document.iter(f"{EDM}{element}") if each.get("Name") == name)
    return [(each.tag.removeprefix(EDM), each.attrib) for each in found]


def names(document, *elements):
    return [each.get("Name") for element in elements for each in document.iter(f"{EDM}{element}")]


@pytest.mark.behaviour(
    "Web API",
    "`$metadata` declares functions and actions, with their parameters and the types of their responses",
    "webapi/use-web-api-functions",
)
def test_a_function_is_declared_as_documented(document):
    identifier = {"Type": "Edm.Guid", "Nullable": "false"}
    assert one(document(), "Function", "WhoAmI") == [
        ("ReturnType", {"Type": "mscrm.WhoAmIResponse", "Nullable": "false"})
    ]
    assert one(document(), "ComplexType", "WhoAmIResponse") == [
        ("Property", {"Name": name, **identifier}) for name in ("BusinessUnitId", "UserId", "OrganizationId")
    ]


def test_an_action_is_declared_as_documented(document):
    row = {"Type": "mscrm.crmbaseentity"}
    assert one(document(), "Action", "Merge") == [
        ("Parameter", {"Name": "Target", **row, "Nullable": "false"}),
        ("Parameter", {"Name": "Subordinate", **row, "Nullable": "false"}),
        ("Parameter", {"Name": "UpdateContent", **row}),
        ("Parameter", {"Name": "PerformParentingChecks", "Type": "Edm.Boolean", "Nullable": "false"}),
    ]


def test_a_bound_action_begins_with_what_it_is_bound_to(document):
    (action,) = (each for each in document().iter(f"{EDM}Action") if each.get("Name") == "AddMembersTeam")
    assert action.get("IsBound") == "true"
    assert action[0].attrib == {"Name": "entity", "Type": "mscrm.team", "Nullable": "false"}


def test_every_operation_with_a_signature_is_declared_and_no_other(document):
    assert sorted(names(document(), "Function", "Action")) == sorted(SIGNATURES)


def test_every_type_that_is_named_is_declared(document):
    schema = document()
    declared = {f"mscrm.{name}" for name in names(schema, "EntityType", "ComplexType", "EnumType")}
    for element in schema.iter():
        kind = element.get("Type", "Edm.String").removeprefix("Collection(").removesuffix(")")
        assert kind.replace(NAMESPACE, "mscrm.") in declared | PRIMITIVES, element.attrib


def test_every_unbound_operation_is_imported_and_no_bound_one(document):
    schema = document()
    for kind in ("Function", "Action"):
        unbound = [each.get("Name") for each in schema.iter(f"{EDM}{kind}") if each.get("IsBound") != "true"]
        imported = [each.get(kind) for each in schema.iter(f"{EDM}{kind}Import")]
        assert imported == [f"{NAMESPACE}{name}" for name in unbound]


def test_no_two_types_nor_operations_have_one_name(document):
    declared = names(document(), "EntityType", "ComplexType", "EnumType", "Function", "Action")
    assert len(declared) == len(set(declared))


def test_the_service_document_lists_entity_sets_alone(crm):
    assert {each["kind"] for each in crm.get("")["value"]} == {"EntitySet"}


@pytest.mark.parametrize(
    "call",
    [
        "GetValidManyToMany()",
        "RetrieveAllEntities(EntityFilters=Microsoft.Dynamics.CRM.EntityFilters'Entity',RetrieveAsIfPublished=true)",
        "RetrieveAvailableLanguages()",
        "RetrieveCurrentOrganization(AccessType=Microsoft.Dynamics.CRM.EndpointAccessType'Default')",
        "RetrieveEntity(EntityFilters=Microsoft.Dynamics.CRM.EntityFilters'Entity',LogicalName='account',"
        "MetadataId=00000000-0000-0000-0000-000000000000,RetrieveAsIfPublished=true)",
        "RetrieveMetadataChanges(Query=null)",
        "RetrieveProvisionedLanguages()",
        "RetrieveTotalRecordCount(EntityNames=['account'])",
        "RetrieveVersion()",
        "WhoAmI()",
    ],
)
def test_a_response_has_the_properties_that_are_declared(crm, document, call):
    answer = {key: value for key, value in crm.get(call).items() if "@" not in key}
    schema = document()
    properties = one(schema, "ComplexType", f"{call.partition('(')[0]}Response")
    assert {each["Name"] for _, each in properties} == answer.keys()
    for _, declared in properties:
        refuse_undeclared(schema, declared["Type"], answer[declared["Name"]])


def refuse_undeclared(schema, kind, value):
    """Fail for an object with a property that its complex type, unless it is open, does not have."""
    if isinstance(value, dict) and kind.startswith("mscrm."):
        (found,) = (each for each in schema.iter(f"{EDM}ComplexType") if f"mscrm.{each.get('Name')}" == kind)
        if found.get("OpenType") != "true":
            types = {each.get("Name"): each.get("Type") for each in found}
            assert value.keys() <= types.keys()
            for name, inner in value.items():
                refuse_undeclared(schema, types[name], inner)


# --- custom APIs ------------------------------------------------------------------------------------------


def test_a_custom_api_is_declared_with_its_types(emulator, document):
    required = {kind.name: RequestParameter(kind) for kind in ParameterType}
    api = CustomApi(
        name="new_Settle",
        entity="account",
        request_parameters={**required, "Note": RequestParameter(ParameterType.STRING, optional=True)},
        response_properties={"Total": ParameterType.MONEY, "Payment": ParameterType.ENTITY_REFERENCE},
    )
    emulator.register_api(api)

    binding, *parameters, note, answer = one(document(), "Action", "new_Settle")
    assert binding == ("Parameter", {"Name": "entity", "Type": "mscrm.account", "Nullable": "false"})
    assert [each["Type"] for _, each in parameters] == [
        "Edm.Boolean",
        "Edm.DateTimeOffset",
        "Edm.Decimal",
        "mscrm.crmbaseentity",
        "Collection(mscrm.crmbaseentity)",
        "mscrm.crmbaseentity",
        "Edm.Double",
        "Edm.Int32",
        "Edm.Decimal",
        "Edm.Int32",
        "Edm.String",
        "Collection(Edm.String)",
        "Edm.Guid",
    ]
    assert note == ("Parameter", {"Name": "Note", "Type": "Edm.String", "Unicode": "false"})
    assert answer == ("ReturnType", {"Type": "mscrm.new_SettleResponse", "Nullable": "false"})
    assert one(document(), "ComplexType", "new_SettleResponse") == [
        ("Property", {"Name": "Total", "Type": "Edm.Decimal"}),
        ("NavigationProperty", {"Name": "Payment", "Type": "mscrm.crmbaseentity"}),
    ]


def test_a_custom_api_is_declared_as_soon_as_its_row_is_there_unless_it_is_private(crm, document):
    described = {"name": "n", "displayname": "n", "description": "n"}
    document()
    id = crm.create("customapis", uniquename="new_Public", bindingtype=0, **described)
    crm.create("customapis", uniquename="new_Private", isprivate=True, **described)
    assert {"new_Public"} == set(names(document(), "Action")) - SIGNATURES.keys()
    crm.delete(f"customapis({id})")
    assert set(names(document(), "Action")) <= SIGNATURES.keys()
