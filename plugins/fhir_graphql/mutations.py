"""Mutations: creates, updates and deletes, one after the other.

Spec: https://hl7.org/fhir/R4/graphql.html#mutations
"""

from typing import Any

from fhir_graphql.answer import Object
from fhir_graphql.document import Plan, Selection
from fhir_graphql.execution import Execution, Place, focus_of
from fhir_graphql.faults import as_error
from fhir_graphql.fields import Fields
from fhir_graphql.naming import Target, target_of
from fhir_server.plugin_api import BadRequest, FhirError, Issue, PluginContext, decode, outcome


async def mutate(ctx: PluginContext, plan: Plan, execution: Execution, fields: Fields) -> Object:
    """Do the mutations of a plan; one that fails is null, and those after it are done all the same."""
    data: Object = {}
    for selection in plan.selections:
        target = target_of(selection.name, fields, ("Create", "Update", "Delete"))
        if target is None:
            data[selection.key] = "Mutation"
            continue
        try:
            data[selection.key] = await _done(ctx, selection, target, execution)
        except FhirError as error:
            data[selection.key] = None
            execution.errors.append(as_error(error, selection.node, (selection.key,)))
    return data


async def _done(ctx: PluginContext, selection: Selection, target: Target, execution: Execution) -> Object:
    resource = await _written(ctx, selection, target)
    meta = (resource or {}).get("meta", {})
    id_ = resource["id"] if resource else selection.arguments["id"]
    version = f"/_history/{meta['versionId']}" if "versionId" in meta else ""
    said = f"{target.type}/{id_} is {'deleted' if resource is None else 'stored'}"
    facts: dict[str, Any] = {"location": f"{target.type}/{id_}{version}", "__typename": selection.name}
    information = decode(outcome([Issue(said, "informational", "information")]))
    found: Object = {}
    for each in selection.selections:
        if each.name in facts:
            found[each.key] = facts[each.name]
        else:
            about = resource if each.name == "resource" else information
            assert about is not None
            inner: Object = {}
            found[each.key] = inner
            await execution.inside(focus_of(about), each.selections, Place(inner, path=(selection.key, each.key)))
    return found


async def _written(ctx: PluginContext, selection: Selection, target: Target) -> dict[str, Any] | None:
    arguments = selection.arguments
    if target.way == "Delete":
        await ctx.client.delete(target.type, str(arguments["id"]))
        return None
    resource = {**arguments["res"], "resourceType": arguments["res"].get("resourceType", target.type)}
    if resource["resourceType"] != target.type:
        raise BadRequest(f"{selection.name} stores a {target.type}", expression="res.resourceType")
    if target.way == "Create" and "id" not in arguments:
        return await ctx.client.create(resource)
    id_ = str(arguments["id"])
    if resource.setdefault("id", id_) != id_:
        raise BadRequest("res.id is not the id of the argument", expression="res.id")
    return await ctx.client.update(resource)
