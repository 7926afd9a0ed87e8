"""Who may do what: patients pay their own invoices; the books and what changes them are for staff."""

from collections.abc import Awaitable, Callable, Iterable

from fhir_server.plugin_api import Call, FhirResponse, Forbidden, Outputs, PluginContext, ResourceKey

_BOOKS = ("Account", "Invoice", "PaymentReconciliation")
_PERSONS = ("Patient", "RelatedPerson")
Handler = Callable[[PluginContext, Call], Awaitable[Outputs | FhirResponse]]


def for_staff(handler: Handler) -> Handler:
    """Return a handler that refuses patients: their apps, and users who are or represent one, whatever the app."""

    async def handle(ctx: PluginContext, call: Call) -> Outputs | FhirResponse:
        if ctx.core.restriction.bound:
            raise Forbidden(f"${call.request.operation} is for staff, not for patients", expression="http.url")
        return await handler(ctx, call)

    return handle


def for_the_books(handler: Handler) -> Handler:
    """Return a handler that asks for access to all that the books are shown in; a part of a type is not enough."""

    async def handle(ctx: PluginContext, call: Call) -> Outputs | FhirResponse:
        for type_ in _BOOKS:
            if not ctx.core.restriction.shows_all(type_):
                raise Forbidden(f"the books ask for access to all of {', '.join(_BOOKS)}", expression="http.url")
        return await handler(ctx, call)

    return for_staff(handle)


async def withheld(ctx: PluginContext, names: Iterable[str]) -> frozenset[str]:
    """Return those accounts that are of patients whom consent or labels keep from the caller."""
    of = {name: key for name in names if (key := _patient_of(name)) is not None}
    seen = await ctx.client.permitted(of.values())
    return frozenset(name for name, key in of.items() if key not in seen)


def _patient_of(account: str) -> ResourceKey | None:
    """Return who an account is of: `receivable/Patient.P1/INV1`, `credit/Patient.P1`, `unbilled/P1`."""
    kind, _, rest = account.partition("/")
    party = rest.partition("/")[0]
    if kind == "unbilled":
        return ResourceKey("Patient", party)
    type_, _, id_ = party.partition(".")
    return ResourceKey(type_, id_) if kind in ("receivable", "credit") and type_ in _PERSONS else None


async def hold_visible(ctx: PluginContext, documents: Iterable[str]) -> None:
    """Refuse a sum over documents of which the caller may not see some: it would tell of them. Raises Forbidden."""
    keys = [ResourceKey(*name.split("/")) for name in sorted(set(documents))]
    for type_ in sorted({key.type for key in keys}):
        if not ctx.core.restriction.may("search-type", type_):
            raise Forbidden(f"this account has a {type_}, which you may not see", expression="http.url")
    if len(await ctx.client.versions_of(keys)) < len(keys):
        raise Forbidden("you may not see all of this account", expression="http.url")
