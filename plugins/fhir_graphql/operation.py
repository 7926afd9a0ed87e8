"""`$graphql`: one query, answered as GraphQL answers over HTTP.

Spec: https://hl7.org/fhir/R4/graphql.html
"""

import asyncio
from typing import Any

from graphql import OperationType

from fhir_graphql.checking import Checker
from fhir_graphql.document import Plan, plan_of
from fhir_graphql.execution import Execution, focus_of
from fhir_graphql.faults import QueryFault, as_error
from fhir_graphql.fields import Fields, fields_of
from fhir_graphql.mutations import mutate
from fhir_graphql.requests import asked
from fhir_graphql.schema import introspect, is_introspection
from fhir_server.plugin_api import (
    Call,
    FhirError,
    FhirResponse,
    PluginContext,
    encode,
)

_JSON = "application/json"


async def graphql(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer a query: 200 with data and errors, 400 and the like where nothing of it can be done."""
    try:
        plan = await asyncio.to_thread(plan_of, asked(call), ctx.settings)
        _allowed(plan, call, ctx)
        return await _answered(ctx, call, plan)
    except QueryFault as fault:
        return _refused([as_error(fault)])
    except FhirError as error:
        return _refused([as_error(error)], error.status)


async def _answered(ctx: PluginContext, call: Call, plan: Plan) -> FhirResponse:
    fields = fields_of(ctx.core.definitions)
    if is_introspection(plan):
        return await _introspected(ctx, plan)
    root = await ctx.client.read(call.request.type or "", call.request.id) if call.request.id else None
    checker = Checker(ctx, fields)
    if plan.kind is OperationType.MUTATION:
        checker.mutation(plan.selections)
    elif root is not None:
        for selection in plan.selections:
            checker.object((selection,), focus_of(root).type, selection)
    else:
        checker.query(plan.selections)
    if checker.errors:
        return _refused(checker.errors)
    return await _done(ctx, plan, root, fields)


def _allowed(plan: Plan, call: Call, ctx: PluginContext) -> None:
    if plan.kind is not OperationType.MUTATION:
        return
    if not ctx.settings.mutations:
        raise QueryFault("mutations are switched off here", code="not-supported")
    if call.request.method == "GET" or call.request.id is not None:
        raise QueryFault("mutations are POSTed to [base]/$graphql", code="not-supported")


async def _done(ctx: PluginContext, plan: Plan, root: dict[str, Any] | None, fields: Fields) -> FhirResponse:
    execution = Execution(ctx, fields)
    if plan.kind is OperationType.MUTATION:
        data = await mutate(ctx, plan, execution, fields)
    else:
        data = await execution.run(plan, root)
    answer = {"data": data, **({"errors": execution.errors} if execution.errors else {})}
    return FhirResponse(200, (encode(answer),), media_type=_JSON)


async def _introspected(ctx: PluginContext, plan: Plan) -> FhirResponse:
    if not ctx.settings.introspection:
        return _refused([as_error(QueryFault("introspection is switched off here", code="not-supported"))])
    body, errors = await asyncio.to_thread(introspect, plan, ctx.core.definitions, ctx.core.parameters)
    if errors:
        return _refused([as_error(each) for each in errors])
    return FhirResponse(200, (body,), media_type=_JSON)


def _refused(errors: list[dict[str, Any]], status: int = 400) -> FhirResponse:
    return FhirResponse(status, (encode({"errors": errors}),), media_type=_JSON)
