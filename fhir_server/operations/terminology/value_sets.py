"""Which value set or code system a call is about: the one it is called on, or the one that a context is bound to."""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import NotFound
from fhir_server.operations.operation import Call
from fhir_server.operations.terminology.service import instance, service
from fhir_server.packages import Library
from fhir_server.terminology.members import part, parts, text

Json = Mapping[str, Any]


async def with_value_set(ctx: Context, call: Call) -> Sequence[Json]:
    """Return the parameters of a call; one on an instance, or about a context, names its value set too.

    Raises:
        NotFound: there is no such context, or nothing is bound to it.
    """
    held, context = await instance(ctx, call), call.inputs.one("context")
    if held is not None:
        return [*call.inputs.parts, {"name": "valueSet", "resource": held}]
    if context is not None and "url" not in call.inputs.values and "valueSet" not in call.inputs.values:
        url = bound(service(ctx, call).library, context)
        return [*call.inputs.parts, {"name": "url", "valueUri": url}]
    return call.inputs.parts


async def with_code_system(ctx: Context, call: Call) -> Sequence[Json]:
    """Return the parameters of a call; one on an instance, or with a code system, names its URL and version too."""
    given, held = call.inputs.one("codeSystem"), await instance(ctx, call)
    named = given if held is None else held
    if named is None:
        return call.inputs.parts
    added: list[Json] = [] if held is not None else [{"name": "tx-resource", "resource": given}]
    for name, kind in (("url", "valueUri"), ("version", "valueString")):
        if name not in call.inputs.values and text(named, name):
            added.append({"name": name, kind: text(named, name)})
    return [*call.inputs.parts, *added]


def bound(library: Library, context: str) -> str:
    """Return the value set that an element is bound to: `[StructureDefinition]#[element]`, or a type's element as
    `Patient.gender`.

    Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html (parameter `context`)
    """
    url, _, path = context.partition("#")
    if not path:
        url, path = f"http://hl7.org/fhir/StructureDefinition/{context.partition('.')[0]}", context
    entry = library.find("StructureDefinition", url)
    found = _binding(entry.parse(), path) if entry is not None else ""
    if not found:
        raise NotFound(f"no value set is bound to the context {context[:300]!r}", expression="context")
    return found


def _binding(profile: Json, path: str) -> str:
    for view in ("snapshot", "differential"):
        for element in parts(part(profile, view), "element"):
            if path in (text(element, "id"), text(element, "path")):
                found = text(part(element, "binding"), "valueSet")
                if found:
                    return found
    return ""
