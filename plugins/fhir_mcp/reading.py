"""The tools that read: each does what a FHIR request of the same caller would."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from fhir_mcp.results import bundle_text, resource_text
from fhir_mcp.summary import patient_summary
from fhir_mcp.tools import Arguments, Tool
from fhir_server.plugin_api import BadRequest, PluginContext, decode, encode

_TYPE: Final = {"type": "string", "description": "FHIR R4 resource type, as Observation", "maxLength": 80}
_ID: Final = {"type": "string", "description": "Logical id of the resource", "maxLength": 64}
_COUNT: Final = {"type": "integer", "minimum": 1, "maximum": 1000, "description": "Resources in a page"}
_CODES: Final = 20


async def capabilities(ctx: PluginContext, given: Arguments) -> str:
    """Return types, or search parameters and operations of one type."""
    statement = decode(b"".join((await ctx.client.request("GET", "metadata")).body))
    rest = statement["rest"][0]
    types = {each["type"]: each for each in rest.get("resource", [])}
    wanted = given.get("type")
    if wanted is None:
        counts = await ctx.core.store.statistics() if ctx.core.restriction.visibility.unrestricted else {}
        used = {type_: count for type_, count in sorted(counts.items()) if count}
        return _json({"fhirVersion": statement["fhirVersion"], "types": sorted(types), "stored": used})
    if wanted not in types:
        raise BadRequest(f"there is no resource type {wanted!r}; call fhir_capabilities without a type")
    found = types[wanted]
    parameters = [f"{each['name']} ({each['type']})" for each in found.get("searchParam", [])]
    return _json({
        "type": wanted, "searchParameters": parameters, "searchInclude": found.get("searchInclude", []),
        "operations": [each["name"] for each in found.get("operation", [])],
    })  # fmt: skip


async def search(ctx: PluginContext, given: Arguments) -> str:
    """Return one page of a search."""
    count = min(given.get("count", ctx.settings.default_count), ctx.settings.max_count)
    pairs = [(name, value) for name, value in parse_qsl(given.get("query", ""), keep_blank_values=True)]
    if not any(name in ("_count", "_page") for name, _ in pairs):
        pairs.append(("_count", str(count)))
    pairs = [(name, _at_most(value, ctx.settings.max_count) if name == "_count" else value) for name, value in pairs]
    return bundle_text(await _got(ctx, f"{_plain(given['type'])}?{_query(pairs)}"), ctx.settings)


async def read(ctx: PluginContext, given: Arguments) -> str:
    """Return a resource, or one version of it."""
    path = _instance(given) + (f"/_history/{_plain(given['version'])}" if "version" in given else "")
    return resource_text(await _got(ctx, path), ctx.settings)


async def history(ctx: PluginContext, given: Arguments) -> str:
    """Return the newest versions of a resource."""
    count = min(given.get("count", ctx.settings.default_count), ctx.settings.max_count)
    return bundle_text(await _got(ctx, f"{_instance(given)}/_history?_count={count}"), ctx.settings)


async def summary(ctx: PluginContext, given: Arguments) -> str:
    """Return a digest of all that belongs to a patient."""
    return await patient_summary(ctx, _plain(given["patient"]))


async def lookup(ctx: PluginContext, given: Arguments) -> str:
    """Return what is known of a code."""
    found = await ctx.client.operation(
        "lookup", [("system", given["system"]), ("code", given["code"])], type_="CodeSystem"
    )
    return resource_text(found, ctx.settings)


async def expand(ctx: PluginContext, given: Arguments) -> str:
    """Return codes of a value set, filtered by text."""
    pairs = [("url", given["url"]), ("count", str(min(given.get("count", _CODES), ctx.settings.max_count)))]
    if given.get("filter"):
        pairs.append(("filter", given["filter"]))
    found = (await ctx.client.operation("expand", pairs, type_="ValueSet")).get("expansion", {})
    codes = [
        {name: each[name] for name in ("system", "code", "display") if name in each}
        for each in found.get("contains", [])
    ]
    return _json({"total": found.get("total"), "codes": codes})


async def fhirpath(ctx: PluginContext, given: Arguments) -> str:
    """Evaluate an expression on a resource that is stored."""
    resource = await _got(ctx, _instance(given))
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "expression", "valueString": given["expression"]}, {"name": "resource", "resource": resource},
        ],
    }  # fmt: skip
    return resource_text(await ctx.client.operation("fhirpath", body), ctx.settings)


def reading_tools() -> list[Tool]:
    """Return the tools that read."""
    return [*_record_tools(), *_word_tools()]


def _record_tools() -> list[Tool]:
    both = {"type": _TYPE, "id": _ID}
    query = {
        "type": "string",
        "description": "Search parameters as in a URL: `code=http://loinc.org|8867-4&date=ge2024-01-01&_sort=-date`. "
        "For the next page give the `next` of the page before.",
    }
    return [
        Tool(
            "fhir_capabilities", "What the server has",
            "Resource types of this FHIR R4 server; with a type, its search parameters and operations. Call it before "
            "a search whose parameters you are not sure of.",
            capabilities, {"type": _TYPE},
        ),
        Tool(
            "fhir_search", "Search",
            "Search resources of one type. Answers entries, the total if it is known, and `next` where there are more.",
            search, {"type": _TYPE, "query": query, "count": _COUNT}, ("type",),
        ),
        Tool(
            "fhir_read", "Read", "Read one resource, or one version of it.",
            read, {**both, "version": {"type": "string", "maxLength": 64}}, ("type", "id"),
        ),
        Tool(
            "fhir_history", "History", "The newest versions of one resource, newest first.",
            history, {**both, "count": _COUNT}, ("type", "id"),
        ),
        Tool(
            "patient_summary", "Patient summary",
            "A digest of all that belongs to a patient: how many of each type, and one line for each of the newest, "
            "with their ids.",
            summary, {"patient": _ID}, ("patient",),
        ),
    ]  # fmt: skip


def _word_tools() -> list[Tool]:
    text = {"type": "string"}
    return [
        Tool(
            "terminology_lookup", "Look up a code", "What is known of a code: display, designations, properties.",
            lookup, {"system": text, "code": text}, ("system", "code"),
        ),
        Tool(
            "terminology_expand", "Codes of a value set", "Codes of a value set, filtered by words of their display.",
            expand, {"url": text, "filter": text, "count": _COUNT}, ("url",),
        ),
        Tool(
            "fhirpath", "FHIRPath",
            "Evaluate a FHIRPath expression on a stored resource, to get parts of a large one.",
            fhirpath, {"type": _TYPE, "id": _ID, "expression": text}, ("type", "id", "expression"),
        ),
    ]  # fmt: skip


async def _got(ctx: PluginContext, path: str) -> dict[str, Any]:
    found: dict[str, Any] = decode(b"".join((await ctx.client.request("GET", path)).body))
    return found


def _instance(given: Arguments) -> str:
    return f"{_plain(given['type'])}/{_plain(given['id'])}"


def _plain(part: str) -> str:
    """Return a part of a path that stays one."""
    return quote(part, safe="")


def _at_most(value: str, most: int) -> str:
    return str(min(int(value), most)) if value.isascii() and value.isdigit() and len(value) < 10 else value


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    return urlencode(list(pairs), safe=":,/|$*")


def _json(value: Mapping[str, Any]) -> str:
    return encode(value).decode()
