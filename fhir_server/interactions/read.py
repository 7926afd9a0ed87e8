"""The FHIR read interaction: the current version of one resource."""

from fhir_server.context import Context
from fhir_server.errors import Gone, NotFound
from fhir_server.interactions import binary, subset
from fhir_server.interactions.preconditions import not_modified
from fhir_server.interactions.provided import provided
from fhir_server.interactions.visibility import visible
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.version import Version


async def read(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/Patient/123`.

    A caller who may not see the resource gets the same answer as for one that never existed.

    Spec: https://hl7.org/fhir/R4/http.html#read

    Raises:
        NotFound: no such resource, or none within the caller's restriction.
        Gone: the current version is a deletion.
    """
    version = await ctx.store.read(request.key)
    if version is None or not await visible(ctx, version):
        version = await provided(ctx, request.key)
    if version is None:
        raise NotFound(f"there is no {request.key}")
    if version.deleted:
        raise _gone(version)
    return not_modified(request, version) or represent(ctx, request, version)


def represent(ctx: Context, request: FhirRequest, version: Version) -> FhirResponse:
    """Answer with one version, cut to `_summary` or `_elements`, or with the content of a Binary."""
    if version.key.type == "Binary":
        return binary.represent(request, version)
    wanted = subset.asked(request.query) if request.query else None
    if wanted is None:
        return FhirResponse.of_version(version)
    return FhirResponse(200, (subset.cut(ctx.definitions, version, wanted),), version)


def _gone(version: Version) -> Gone:
    """Spec: https://hl7.org/fhir/R4/http.html#delete"""
    gone = Gone(f"{version.key} was deleted as version {version.version}")
    gone.headers["etag"] = version.etag
    return gone
