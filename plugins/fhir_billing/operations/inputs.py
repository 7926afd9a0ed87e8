"""What the operations of billing have in common: keys, money, references, whom the caller may see."""

from typing import Any

from fhir_billing.money import Money, money_of
from fhir_billing.naming import refers
from fhir_server.plugin_api import BadValue, Call, Inputs, PluginContext

_LONGEST_KEY = 200


def key_of(ctx: PluginContext, call: Call) -> str:
    """Return the Idempotency-Key of a call, of its own where it has none. Keys of one user are not those of another.

    Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/

    Raises:
        BadValue: it is too long.
    """
    given = call.inputs.one("idempotency-key") or call.request.headers.get("idempotency-key") or ctx.new_id()
    if len(str(given)) > _LONGEST_KEY:
        raise BadValue(f"an Idempotency-Key has at most {_LONGEST_KEY} signs", expression="http.idempotency-key")
    return f"{call.request.operation}|{ctx.caller.user or ctx.caller.client or ctx.caller.name}|{given}"


def money_in(inputs: Inputs, name: str) -> Money | None:
    """Return the money of a parameter. Raises MoneyFault."""
    value = inputs.one(name)
    return None if value is None else money_of(value, place=f"Parameters.parameter.where(name='{name}').value")


async def seen(ctx: PluginContext, inputs: Inputs, name: str, types: tuple[str, ...]) -> str:
    """Return `Type/id` of a reference that the caller may follow; empty where there is none.

    Raises:
        BadValue: it is of another type. NotFound: there is none that they may see.
    """
    value: Any = inputs.one(name)
    if value is None:
        return ""
    found = refers(value)
    type_, _, id_ = found.partition("/")
    if type_ not in types or not id_:
        wanted = " or ".join(types)
        raise BadValue(f"{name} is a reference to a {wanted}", expression=f"Parameters.parameter.where(name='{name}')")
    await ctx.client.read(type_, id_)
    return found
