"""The messages that convert FetchXML to a QueryExpression, and back.

Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.fetchxmltoqueryexpressionrequest
Source: https://learn.microsoft.com/dotnet/api/microsoft.crm.sdk.messages.queryexpressiontofetchxmlrequest
"""

from __future__ import annotations

from typing import Any

from dataverse_client.fetchxml import write_fetch
from dataverse_client.types import FetchExpression, QueryExpression
from runner.emulator.call import Call
from runner.emulator.errors import NotSupported
from runner.emulator.messages.environment import Environment, Handler
from runner.emulator.messages.parameters import parameter
from runner.emulator.messages.reading import reading
from runner.emulator.messages.retrieval import as_query
from runner.emulator.query.expression_writing import to_query_expression


def _to_expression(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """Relative dates become the dates that they mean now.

    Raises:
      InvalidArgument: (one of its kinds) the FetchXML is malformed, or names something unknown.
      NotSupported: a QueryExpression cannot ask for the same, as it has no aggregates here.
    """
    query = as_query(engine, call, FetchExpression(parameter(parameters, "FetchXml", str)))
    expression = to_query_expression(query, engine.store.metadata)
    if expression is None:
        raise NotSupported(
            "This FetchXML cannot be a QueryExpression, which has no aggregate, alias of an attribute, comparison of "
            "two tables' columns or operator of FetchXML's own here. Send the FetchXML itself, as a FetchExpression."
        )
    return {"Query": expression}


def _to_fetch(engine: Environment, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"FetchXml": write_fetch(parameter(parameters, "Query", QueryExpression))}


QUERY_CONVERSIONS: tuple[tuple[str, Handler], ...] = tuple(
    (name, reading(name, answer))
    for name, answer in (("FetchXmlToQueryExpression", _to_expression), ("QueryExpressionToFetchXml", _to_fetch))
)
