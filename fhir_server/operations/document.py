"""Composition `$document`: a composition and what it refers to, as a Bundle that stands alone.

Spec: https://hl7.org/fhir/R4/composition-operation-document.html
"""

from uuid import uuid4

from fhir_server.context import Context
from fhir_server.errors import BadRequest, BadValue, Gone, NotFound, Unsupported
from fhir_server.interactions.visibility import visible
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import encode
from fhir_server.model.keys import ResourceKey, is_id
from fhir_server.model.version import Version, instant
from fhir_server.operations.document_parts import Parts, gather
from fhir_server.operations.facts import PLACE, r4
from fhir_server.operations.operation import Call, CoreOperation

MISSING = PLACE.replace("OperationDefinition", "StructureDefinition") + "document-missing-reference"
"""Extension of the Bundle's meta: a reference of the composition whose target is not in the document.

A document holds nothing but what its composition leads to, so that an OperationOutcome has no place in it.
"""


async def _run(ctx: Context, call: Call) -> FhirResponse:
    """Answer with the document, or store it and answer with its Location.

    Raises:
        NotFound: there is no such composition, or none that the caller may see.
        Unsupported: a graph, or a composition of another server.
    """
    if "graph" in call.inputs.values:
        raise Unsupported("graph: documents by GraphDefinition are not supported", expression="http.graph")
    composition = await _composition(ctx, _key(ctx, call))
    parts = await gather(ctx, composition)
    body = _bundle(ctx, parts)
    if not call.inputs.one("persist", False):
        return FhirResponse(200, (body,))
    request = call.request
    create = FhirRequest(
        "POST", "create", request.base, "Bundle", body=body, tenant=request.tenant, request_id=request.request_id
    )
    return await ctx.execute(create)


def _key(ctx: Context, call: Call) -> ResourceKey:
    """Return which composition is meant: by the URL, or on the type by `id`."""
    request = call.request
    if request.vid is not None:
        raise BadRequest("$document is of a composition, not of one version", expression="http.url")
    if request.id is not None:
        return request.key
    given = call.inputs.one("id")
    if given is None:
        raise BadRequest("$document on the type needs the parameter id", expression="http.id")
    id_ = str(given).removeprefix(f"{ctx.base}/").removeprefix("Composition/")
    if "://" in id_:
        raise Unsupported("id names a composition of another server, which is not fetched", expression="http.id")
    if not is_id(id_):
        raise BadValue(f"id={id_[:100]} names no composition", expression="http.id")
    return ResourceKey("Composition", id_)


async def _composition(ctx: Context, key: ResourceKey) -> Version:
    version = await ctx.store.read(key)
    if version is None or not await visible(ctx, version):
        raise NotFound(f"there is no {key}", expression="http.url")
    if version.deleted:
        raise Gone(f"{key} was deleted as version {version.version}", expression="http.url")
    return version


def _bundle(ctx: Context, parts: Parts) -> bytes:
    """Write the document. Spec: https://hl7.org/fhir/R4/documents.html"""
    made = instant(ctx.now())
    meta = {"lastUpdated": made}
    noted = [{"url": MISSING, "valueString": reference} for reference in parts.missing]
    head = {
        "resourceType": "Bundle",
        "id": ctx.new_id(),
        "meta": {**meta, "extension": noted} if noted else meta,
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"},
        "type": "document",
        "timestamp": made,
    }
    entries = b",".join(_entry(ctx, version) for version in parts.versions)
    return encode(head)[:-1] + b',"entry":[' + entries + b"]}"


def _entry(ctx: Context, version: Version) -> bytes:
    return b'{"fullUrl":%b,"resource":%b}' % (encode(f"{ctx.base}/{version.key}"), version.stamped())


document = CoreOperation(
    facts=r4("Composition-document"),
    handler=_run,
    summary="A composition and what it refers to, as a document that stands alone; stored on demand.",
)
