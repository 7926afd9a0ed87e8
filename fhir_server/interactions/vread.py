"""The FHIR vread interaction: one named version of a resource."""

import re

from fhir_server.context import Context
from fhir_server.errors import Gone, NotFound
from fhir_server.interactions.preconditions import not_modified
from fhir_server.interactions.provided import provided
from fhir_server.interactions.read import represent
from fhir_server.interactions.visibility import visible_version
from fhir_server.model.exchange import FhirRequest, FhirResponse

_VERSION = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)


async def vread(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/Patient/123/_history/4`.

    Spec: https://hl7.org/fhir/R4/http.html#vread

    Raises:
        NotFound: no such version, or none within the caller's restriction.
        Gone: this version is a deletion.
    """
    number = request.vid or ""
    version = await ctx.store.read_version(request.key, int(number)) if _VERSION.fullmatch(number) else None
    if version is None or not await visible_version(ctx, version):
        version = await provided(ctx, request.key, number)
    if version is None:
        raise NotFound(f"there is no version {number} of {request.key}")
    if version.deleted:
        raise Gone(f"version {number} of {request.key} is its deletion")
    return not_modified(request, version) or represent(ctx, request, version)
