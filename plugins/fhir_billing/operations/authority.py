"""Who may do what: patients pay their own invoices; the books and what changes them are for staff."""

from collections.abc import Awaitable, Callable, Iterable

from fhir_server.plugin_api import Call, FhirResponse, Forbidden, Outputs, PluginContext, ResourceKey

_BOOKS = ("Account", "Invoice", "PaymentReconciliation")
Handler = Callable[[PluginContext, Call], Awaitable[Outputs | FhirResponse]]


def for_staff(handler: Handler) -> Handler:
    """Return a handler that refuses the apps of patients."""

    async def handle(ctx: PluginContext, call: Call) -> Outputs | FhirResponse:
        if ctx.caller.patients:
            raise Forbidden(f"${call.request.operation} is for staff, not for patients", expression="http.url")
        return await handler(ctx, call)

    return handle


def for_the_books(handler: Handler) -> Handler:
    """Return a handler that asks for access to all that the books are shown in."""

    async def handle(ctx: PluginContext, call: Call) -> Outputs | FhirResponse:
        for type_ in _BOOKS:
            if not ctx.core.restriction.may("search-type", type_):
                raise Forbidden(f"the books ask for access to {', '.join(_BOOKS)}", expression="http.url")
        return await handler(ctx, call)

    return for_staff(handle)


async def hold_visible(ctx: PluginContext, documents: Iterable[str]) -> None:
    """Refuse a sum over documents of which the caller may not see some: it would tell of them. Raises Forbidden."""
    keys = [ResourceKey(*name.split("/")) for name in sorted(set(documents))]
    for type_ in sorted({key.type for key in keys}):
        if not ctx.core.restriction.may("search-type", type_):
            raise Forbidden(f"this account has a {type_}, which you may not see", expression="http.url")
    if len(await ctx.client.versions_of(keys)) < len(keys):
        raise Forbidden("you may not see all of this account", expression="http.url")
