"""Custom APIs as functions and actions: JSON to their parameters, their response properties to JSON.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/custom-api
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from dataverse_client.types import Entity, EntityCollection, EntityReference, Money, OptionSetValue, guid
from runner.emulator.custom_api import CustomApi, ParameterType
from runner.emulator.query.edm import read_moment
from runner.emulator.webapi.csdl_operations import Operation
from runner.emulator.webapi.exchange import NO_CONTENT, Exchange, json_response
from runner.emulator.webapi.faults import BadRequest, ResourceNotFound
from runner.emulator.webapi.http import Preferences, Response
from runner.emulator.webapi.payload import NAMESPACE
from runner.emulator.webapi.representation import RowWriter, plain
from runner.emulator.webapi.row_parameters import reference, row, rows
from runner.emulator.webapi.signatures import ANY_ROW, ANY_ROWS, Signature


def call(
    exchange: Exchange, api: CustomApi, arguments: Mapping[str, Any], target: EntityReference | None = None
) -> Response:
    """Call a custom API: a function with the URL's ``arguments``, an action with the body.

    Raises:
      ResourceNotFound: a function needs GET, an action POST, or a function has no response properties.
      BadRequest: a parameter has another type.
    """
    method = exchange.request.method.upper()
    if method != ("GET" if api.is_function else "POST"):
        raise ResourceNotFound.by_method(exchange.address.url)
    if api.is_function and not api.response_properties:
        raise ResourceNotFound.at(api.name)
    given = arguments if api.is_function or not exchange.request.body else exchange.request.json_body()
    parameters = dict(_parameter(exchange, api, name, value) for name, value in given.items() if "@" not in name)
    if target is not None:
        parameters["Target"] = exchange.resolve(target)
    results = exchange.execute(api.name, **parameters)
    if not results:
        return NO_CONTENT
    context = exchange.context(f"{NAMESPACE}{api.name}Response")
    return json_response({"@odata.context": context, **{k: _json(exchange, v) for k, v in results.items()}})


def operation(api: CustomApi) -> Operation:
    """The function or action that the API is. Any response property may be null."""
    bound_to = f"mscrm.{api.entity}" if api.entity else None
    if api.on_collection and bound_to:
        bound_to = f"Collection({bound_to})"
    parameters = {
        name: f"{_EDM_TYPES[parameter.type]}{'?' if parameter.optional else ''}"
        for name, parameter in api.request_parameters.items()
    }
    results = {name: f"{_EDM_TYPES[kind]}?" for name, kind in api.response_properties.items()}
    return Operation(api.name, Signature(parameters, results, bound_to), api.is_function)


#: Source: https://learn.microsoft.com/power-apps/developer/data-platform/customapirequestparameter-table-columns
_EDM_TYPES: Mapping[ParameterType, str] = {
    ParameterType.BOOLEAN: "Edm.Boolean",
    ParameterType.DATE_TIME: "Edm.DateTimeOffset",
    ParameterType.DECIMAL: "Edm.Decimal",
    ParameterType.ENTITY: ANY_ROW,
    ParameterType.ENTITY_COLLECTION: ANY_ROWS,
    ParameterType.ENTITY_REFERENCE: ANY_ROW,
    ParameterType.FLOAT: "Edm.Double",
    ParameterType.INTEGER: "Edm.Int32",
    ParameterType.MONEY: "Edm.Decimal",
    ParameterType.PICKLIST: "Edm.Int32",
    ParameterType.STRING: "Edm.String",
    ParameterType.STRING_ARRAY: "Collection(Edm.String)",
    ParameterType.GUID: "Edm.Guid",
}


def _parameter(exchange: Exchange, api: CustomApi, name: str, value: Any) -> tuple[str, Any]:
    declared = api.request_parameters.get(name)
    if declared is None or value is None:
        # The custom API itself refuses parameters that are missing or not declared.
        return name, value
    try:
        return name, _read(exchange, declared.type, value)
    except (ValueError, TypeError, KeyError):
        raise BadRequest(f"{api.name}: the parameter '{name}' must be {declared.type.name}, not '{value}'.") from None


def _read(exchange: Exchange, kind: ParameterType, value: Any) -> Any:
    if kind in _ROWS:
        return _ROWS[kind](exchange, value)
    return _VALUES[kind](value) if kind in _VALUES else value


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError
    return Decimal(value)


def _choice(value: Any) -> OptionSetValue:
    return OptionSetValue(int(_number(value)))


_VALUES: Mapping[ParameterType, Callable[[Any], Any]] = {
    ParameterType.DATE_TIME: read_moment,
    ParameterType.DECIMAL: _number,
    ParameterType.FLOAT: lambda value: float(_number(value)),
    ParameterType.MONEY: lambda value: Money(_number(value)),
    ParameterType.PICKLIST: _choice,
    ParameterType.STRING_ARRAY: tuple,
    ParameterType.GUID: guid,
}


_ROWS: Mapping[ParameterType, Callable[[Exchange, Any], Any]] = {
    ParameterType.ENTITY: row,
    ParameterType.ENTITY_REFERENCE: reference,
    ParameterType.ENTITY_COLLECTION: rows,
}


def _json(exchange: Exchange, value: Any) -> Any:
    match value:
        case Entity():
            return _row(exchange, value)
        case EntityCollection():
            return [_row(exchange, each) for each in value]
        case EntityReference():
            table = exchange.schema.table(value.logical_name)
            return {"@odata.type": f"#{NAMESPACE}{value.logical_name}", table.primary_id_attribute: value.id}
        case tuple():
            return list(value)
    return plain(value)


def _row(exchange: Exchange, entity: Entity) -> dict[str, Any]:
    table = exchange.schema.table(entity.logical_name)
    columns = [table.columns[name] for name in entity if name in table.columns]
    writer = RowWriter.of(columns, exchange.schema.navigation(table), Preferences())
    return {"@odata.type": f"#{NAMESPACE}{entity.logical_name}", **writer.write(entity)}
