"""`$materialize` and `$dematerialize`: a view becomes a table, and is one no longer."""

from fhir_server.plugin_api import Call, Forbidden, NotFound, Operation, Outputs, PluginContext
from fhir_views.definitions import operation
from fhir_views.sql import needs
from fhir_views.tables.records import Table, parts, tables
from fhir_views.tables.upkeep import Upkeep


def operations(upkeep: Upkeep) -> list[Operation]:
    """Both operations."""

    async def materialize(ctx: PluginContext, call: Call) -> Outputs:
        """Make the table of a view, anew if there is one.

        Raises:
            Forbidden: the caller may not see all that would be in it.
        """
        needs()
        view = str(call.request.id)
        definition = await ctx.client.read("ViewDefinition", view)
        if not await ctx.client.sees_as(ctx.own, str(definition.get("resource"))):
            raise Forbidden("a table holds all resources of its type, which you may not see", expression="http.url")
        return Outputs(await _told(ctx, await upkeep.make(ctx, view)))

    async def dematerialize(ctx: PluginContext, call: Call) -> Outputs:
        """Remove the table of a view. Raises NotFound: there is none."""
        await ctx.client.read("ViewDefinition", str(call.request.id))
        found = await tables(ctx, str(call.request.id))
        if not found:
            raise NotFound("the view is no table", expression="http.url")
        for table in found:
            await upkeep.drop(ctx, table)
        return Outputs([("table", found[0].name)])

    return [
        Operation(operation("materialize"), materialize, "Keep the rows of a view as a table.", background=True),
        Operation(operation("dematerialize"), dematerialize, "Keep the rows of a view no longer."),
    ]


async def _told(ctx: PluginContext, table: Table) -> list[tuple[str, object]]:
    rows = sum(each.rows for each in await parts(ctx, table))
    told: list[tuple[str, object]] = [("table", table.name), ("rows", rows), ("faults", table.faults)]
    return [*told, ("fault", table.fault)] if table.fault else told
