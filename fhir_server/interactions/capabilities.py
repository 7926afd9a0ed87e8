"""The FHIR capabilities interaction: what this server offers, made from what is registered.

Spec: https://hl7.org/fhir/R4/http.html#capabilities
"""

import asyncio
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from fhir_server.context import Context, Deciders, Operations
from fhir_server.definitions import Definitions, OperationFacts
from fhir_server.errors import BadValue
from fhir_server.interactions.declared import additional, met
from fhir_server.interactions.subset import asked, cut_resource
from fhir_server.interactions.supported_profiles import Supported, supported_profiles
from fhir_server.interactions.terminology_capabilities import terminology_body
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import encode
from fhir_server.search.parameters import Parameter, ParameterRegistry
from fhir_server.search.parameters_canonical import included_types
from fhir_server.settings import Settings
from fhir_server.storage.base import Capabilities
from fhir_server.terminology import Terminology

_MODES = ("full", "normative", "terminology")
_DATE = "2026-11-22"
_PROFILE = "http://hl7.org/fhir/StructureDefinition/"
# Resource types that are normative in R4: https://hl7.org/fhir/R4/resourcelist.html
_NORMATIVE = frozenset(
    ("Binary", "Bundle", "CapabilityStatement", "CodeSystem", "Observation", "OperationDefinition", "OperationOutcome",
     "Parameters", "Patient", "StructureDefinition", "ValueSet")
)  # fmt: skip
_INTERACTIONS = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
_SYSTEM = ("transaction", "batch", "search-system", "history-system")
_FORMATS = ("application/fhir+json", "application/fhir+xml", "json", "xml")
_PATCHES = (
    "application/json-patch+json", "application/fhir+json", "application/fhir+xml", "application/xml-patch+xml",
)  # fmt: skip
_FEATURE = "http://hl7.org/fhir/uv/application-feature/StructureDefinition/feature"
# What the terminology ecosystem asks a server to say: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/
_DECLARED = {
    "extension": [
        {"url": _FEATURE, "extension": [{"url": "definition", "valueCanonical": canonical}, {"url": "value"} | value]}
        for canonical, value in (
            ("http://hl7.org/fhir/uv/tx-tests/FeatureDefinition/test-version", {"valueCode": "1.9.2"}),
            ("http://hl7.org/fhir/uv/tx-ecosystem/FeatureDefinition/CodeSystemAsParameter", {"valueBoolean": True}),
        )
    ],
    "instantiates": ["http://hl7.org/fhir/CapabilityStatement/terminology-server"],
}
_DOCUMENTATION = (
    "Reads, writes and searches of FHIR R4. `_summary` and `_elements` are honoured on every read and search, "
    "`_format` and `_pretty` on every request; unknown search parameters are refused unless the client sends "
    "`Prefer: handling=lenient`."
)
_INDEXED = (
    " `_text`, `_content`, `:text`, `:contains`, `near` and `_sort` are helped by a search index; a searchset says so "
    "where the index lags or does not answer."
)
_UNINDEXED = (
    " `_text` and `_content` have no index here: each looks at every resource that the other parameters leave, and is "
    "refused where that takes too long."
)
_JOURNALLED = (
    " The database has no transactions: a transaction Bundle is all or nothing by a journal, but while one is being "
    "written another node may read records, not resources, that are one commit old."
)

_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_MOST_BASES = 16
_AUDITED = ("read", "vread", "history-instance", "history-type", "create", "search-type")
_OF_THE_AUDIT: dict[str, Any] = {
    "interaction": [{"code": code} for code in _AUDITED], "versioning": "versioned", "updateCreate": False,
    "conditionalCreate": False, "conditionalUpdate": False, "conditionalDelete": "not-supported",
    "searchInclude": [], "searchRevInclude": [],
}  # fmt: skip
_statements: "WeakKeyDictionary[Operations, dict[tuple[Any, ...], Stated]]" = WeakKeyDictionary()
"""By the operations, which hold all of a server: it is let go with them."""
_of_terminologies: "WeakKeyDictionary[Terminology, dict[str, Stated]]" = WeakKeyDictionary()


async def capabilities(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/metadata`. The edge answers 304 by the ETag.

    Raises:
        BadValue: `mode` is none of the three.
    """
    mode = request.parameter("mode") or "full"
    if mode not in _MODES:
        raise BadValue(f"mode={mode[:80]}: one of {', '.join(_MODES)}", expression="http.mode")
    if mode == "terminology":
        body, tag = await _of_terminology(ctx, request.base)
    else:
        body, tag = statement(_parts(ctx), request.base, mode)
    wanted = asked(request.query)
    if wanted is not None:
        type_ = "TerminologyCapabilities" if mode == "terminology" else "CapabilityStatement"
        body = cut_resource(ctx.definitions, type_, body, wanted)
    return FhirResponse(200, (body,), headers={"ETag": tag})


Stated = tuple[bytes, str]


class Parts(NamedTuple):
    """What a statement is made from."""

    definitions: Definitions
    parameters: ParameterRegistry
    operations: Operations
    settings: Settings
    store: Capabilities
    profiles: Supported
    guides: tuple[str, ...]
    audited: bool
    deciders: Deciders | None


def _parts(ctx: Context) -> Parts:
    guides = tuple(package.guide for package in ctx.packages.all if package.guide)
    profiles = supported_profiles(ctx.library)
    return Parts(
        ctx.definitions, ctx.parameters, ctx.operations, ctx.settings, ctx.store.capabilities, profiles, guides,
        ctx.auditor is not None, ctx.deciders,
    )  # fmt: skip


def statement(parts: Parts, base: str, mode: str) -> Stated:
    """Return the CapabilityStatement as JSON, and its ETag; kept for as long as the parts are the same."""
    kept = _statements.setdefault(parts.operations, {})
    key = (parts.definitions, parts.parameters, *parts[3:-1], id(parts.deciders), base, mode)
    if key not in kept:
        if len(kept) >= _MOST_BASES:
            kept.clear()
        kept[key] = _statement(parts, base, mode)
    return kept[key]


def _statement(parts: Parts, base: str, mode: str) -> Stated:
    types = [t for t in parts.definitions.resource_types if mode == "full" or t in _NORMATIVE]
    made = _head("CapabilityStatement", base) | _DECLARED | _body(parts, types, base)
    made["software"] |= {"releaseDate": _DATE}
    made["instantiates"] = [*made["instantiates"], *met(parts.guides)]
    if parts.deciders is not None and mode == "full":
        made = parts.deciders.amend(made)
    return _stated(made)


async def _of_terminology(ctx: Context, base: str) -> Stated:
    """Return the TerminologyCapabilities, made once for each state of the terminology.

    All code systems are looked at, which takes a while.
    """
    terminology = ctx.terminology
    if not isinstance(terminology, Terminology):
        return _stated(_head("TerminologyCapabilities", base))
    kept = _of_terminologies.setdefault(terminology, {})
    if base not in kept:
        body = await asyncio.to_thread(terminology_body, terminology, ctx.operations)
        if len(kept) >= _MOST_BASES:  # a client may name any host
            kept.clear()
        kept[base] = _stated(_head("TerminologyCapabilities", base) | body)
    return kept[base]


def _stated(made: Mapping[str, Any]) -> Stated:
    body = encode(made)
    return body, f'W/"{blake2b(body, digest_size=8).hexdigest()}"'


def _head(type_: str, base: str) -> dict[str, Any]:
    return {
        "resourceType": type_,
        "url": f"{base}/metadata",
        "version": _version(),
        "name": "FhirServer",
        "title": "FHIR R4 server",
        "status": "active",
        "experimental": False,
        "date": _DATE,
        "kind": "instance",
        "software": {"name": "fhir-server", "version": _version()},
        "implementation": {"description": "FHIR R4 server", "url": base},
    }


def _version() -> str:
    try:
        return version("fhir-server")
    except PackageNotFoundError:
        return "0"


def _body(parts: Parts, types: list[str], base: str) -> dict[str, Any]:
    parameters, settings = parts.parameters, parts.settings
    referring, profiles = _referring(parameters), dict(parts.profiles)
    described = [_resource(parts, type_, referring.get(type_, ()), profiles.get(type_, ())) for type_ in types]
    own = [each for each in described if parts.definitions.types[each["type"]].url]
    rest: dict[str, Any] = {
        **({"extension": [*map(additional, own)]} if own else {}),
        "mode": "server",
        "documentation": _documentation(parts.store),
        "security": _security(settings, base),
        "resource": [each for each in described if each not in own],
        "interaction": [{"code": code} for code in _SYSTEM],
        "searchParam": _search_parameters(parameters.common(parameters.types)),
    }
    system = [facts for facts in parts.operations.facts if facts.system]
    if system:
        rest["operation"] = _operations(system)
    rest["compartment"] = [
        f"http://hl7.org/fhir/CompartmentDefinition/{name.lower()}" for name in parts.definitions.compartments
    ]
    guides = {"implementationGuide": sorted(parts.guides)} if parts.guides else {}
    return {"fhirVersion": "4.0.1", "format": list(_FORMATS), "patchFormat": list(_PATCHES), **guides, "rest": [rest]}


def _documentation(store: Capabilities) -> str:
    text = _INDEXED if store.search_index else "" if store.full_text else _UNINDEXED
    return _DOCUMENTATION + text + ("" if store.transactions else _JOURNALLED)


def _security(settings: Settings, base: str) -> dict[str, Any]:
    """Spec: https://hl7.org/fhir/R4/codesystem-restful-security-service.html and, for its extension,
    https://hl7.org/fhir/smart-app-launch/STU2.2/StructureDefinition-oauth-uris.html"""
    cors = bool(settings.cors_origins)
    if settings.auth == "none":
        return {"cors": cors, "description": "Open to everybody: authorization is switched off."}
    auth = f"{base.removesuffix('/fhir')}/auth"
    names = ("authorize", "token", "introspect", "revoke", "manage", *["register"][: settings.client_registration])
    uris = [{"url": name, "valueUri": f"{auth}/{name}"} for name in names]
    service = {"coding": [{"system": _SERVICES, "code": "SMART-on-FHIR"}], "text": "SMART App Launch 2.2"}
    return {
        "extension": [{"url": _URIS, "extension": uris}],
        "cors": cors,
        "service": [service],
        "description": "SMART App Launch 2.2: see .well-known/smart-configuration.",
    }


def _resource(parts: Parts, type_: str, referring: Iterable[str], profiles: Iterable[str]) -> dict[str, Any]:
    operations, settings, own = parts.operations, parts.settings, parts.parameters.of(type_)
    includes = [f"{type_}:{p.code}" for p in own.values() if included_types(p, type_, parts.parameters)]
    resource: dict[str, Any] = {
        "type": type_,
        "profile": parts.definitions.types[type_].url or _PROFILE + type_,
        "supportedProfile": list(profiles),
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": settings.update_create,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": {"none": "not-supported"}.get(settings.conditional_delete, settings.conditional_delete),
        "referencePolicy": _reference_policy(settings),
        "searchInclude": ["*", *includes] if includes else [],
        "searchRevInclude": list(referring),
        "searchParam": _search_parameters(own),
        "operation": _operations(facts for facts in operations.facts if _is_for(facts, type_)),
    }
    if type_ == "AuditEvent" and parts.audited:
        resource |= _OF_THE_AUDIT
    return {name: value for name, value in resource.items() if value != []}


def _reference_policy(settings: Settings) -> list[str]:
    return ["literal", "logical", *(["enforced"] if settings.integrity_on_write else [])]


def _search_parameters(parameters: Mapping[str, Parameter]) -> list[dict[str, str]]:
    return [_search_parameter(parameter) for parameter in parameters.values()]


def _search_parameter(parameter: Parameter) -> dict[str, str]:
    found = {"name": parameter.code, "definition": parameter.url, "type": parameter.type}
    return found | ({"documentation": parameter.expression} if parameter.expression else {})


def _referring(parameters: ParameterRegistry) -> Mapping[str, list[str]]:
    """Return, for each type, the references and canonicals that `_revinclude` can follow to it."""
    found: dict[str, list[str]] = {}
    for source in parameters.types:
        for parameter in parameters.of(source).values():
            for target in included_types(parameter, source, parameters):
                found.setdefault(target, []).append(f"{source}:{parameter.code}")
    return found


def _operations(found: Iterable[OperationFacts]) -> list[dict[str, str]]:
    return [{"name": facts.code, "definition": facts.url} for facts in found]


def _is_for(facts: OperationFacts, type_: str) -> bool:
    return (facts.type_level or facts.instance) and (type_ in facts.resources or "Resource" in facts.resources)
