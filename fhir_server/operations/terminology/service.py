"""What a terminology operation works with: the tenant's service, and the resources that came with the call.

Spec: https://hl7.org/fhir/R4/terminology-service.html
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fhir_server.context import Context
from fhir_server.errors import BadRequest, TooCostly, Unsupported
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.operations.meta import the_version
from fhir_server.operations.operation import Call
from fhir_server.operations.terminology.faults import told_as_text
from fhir_server.terminology import Terminology
from fhir_server.terminology.members import text

Json = Mapping[str, Any]
T = TypeVar("T")

_MOST_RESOURCES = 5_000

_EXPANDERS = ThreadPoolExecutor(2, "expand")
"""Where expansions run, which may take seconds: few at a time, so that all else goes on."""


def tenant_service(ctx: Context) -> Terminology:
    """Return the terminology service of the tenant.

    Raises:
        Unsupported: the server has none.
    """
    if not isinstance(ctx.terminology, Terminology):
        raise Unsupported("this server has no terminology service")
    return ctx.terminology


def service(ctx: Context, call: Call) -> Terminology:
    """Return the terminology service over the `tx-resource`s of the call.

    Raises:
        Unsupported: the server has none.
        BadRequest: too many resources.
    """
    given = call.inputs.many("tx-resource")
    if len(given) > _MOST_RESOURCES:
        raise BadRequest(f"{len(given)} resources came with the call; {_MOST_RESOURCES} may", expression="tx-resource")
    return tenant_service(ctx).with_resources(given)


async def instance(ctx: Context, call: Call) -> Json | None:
    """Return the resource of the URL, where the operation is called on one that the caller may see."""
    if call.request.id is None:
        return None
    resource: Json = decode((await the_version(ctx, call.request)).stamped())
    return resource


async def held_system(ctx: Context, call: Call) -> str:
    """Return `url|version` of the CodeSystem that the operation is called on; empty where it is called on the type."""
    resource = await instance(ctx, call)
    if resource is None:
        return ""
    return f"{text(resource, 'url')}|{text(resource, 'version')}"


def as_parameters(given: Sequence[Json]) -> Json:
    """Return a Parameters resource."""
    return {"resourceType": "Parameters", "parameter": list(given)}


def accepted_languages(call: Call) -> str:
    """Return what the client says of languages beside `displayLanguage`."""
    return call.request.headers.get("accept-language", "")


async def answered(work: Callable[..., T], *arguments: Any) -> T:
    """Do the work in a thread, so that others are served meanwhile; what it refuses is told as programs expect it."""
    with told_as_text():
        return await asyncio.to_thread(work, *arguments)


async def expanded(ctx: Context, work: Callable[..., T], *arguments: Any) -> T:
    """Do work that may take seconds as `answered` does it, in its turn.

    Raises:
        TooCostly: it took too long. The thread goes on to its end, which the limits of expansions bring near.
    """
    seconds = ctx.settings.search_timeout
    with told_as_text():
        done = asyncio.get_running_loop().run_in_executor(_EXPANDERS, lambda: work(*arguments))
        try:
            return await asyncio.wait_for(done, seconds)
        except TimeoutError:
            raise TooCostly(f"the expansion did not come to its end within {seconds} s") from None


def resource_answer(resource: Json) -> FhirResponse:
    """Answer with a resource."""
    return FhirResponse(200, (encode(resource),))
