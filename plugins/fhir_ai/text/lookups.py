"""Lookups: lines of diagnoses that the lexicon does not know, by their whole name in the server's terminology."""

import asyncio
import itertools
import re
from typing import Any, Final

from fhir_ai.text.extracting import Mention, items
from fhir_ai.text.lexicon import ICD10CM, Concept
from fhir_server.plugin_api import FhirError, PluginContext

_REST: Final = re.compile(r"[^a-z0-9]+")
_COUNT: Final = 5
_LEAST: Final = 4
_UNSPECIFIED: Final = "unspecified"


async def looked_up(ctx: PluginContext, text: str) -> list[Mention]:
    """Return the lines that are the name of a code of ICD-10-CM where that is loaded, and not merely like one."""
    lines = await asyncio.to_thread(lambda: list(itertools.islice(items(text), ctx.settings.text_lookups)))
    found: list[Mention] = []
    for start, end, section in lines:
        if end - start < _LEAST:
            continue
        try:
            concept = await _named(ctx, text[start:end])
        except FhirError:
            return found  # ICD-10-CM is not loaded, or not for this caller
        if concept is not None:
            historical = section.kind == "history"
            found.append(Mention(concept, start, end, section, "present", "patient", historical))
    return found


async def _named(ctx: PluginContext, name: str) -> Concept | None:
    system: dict[str, Any] = {"compose": {"include": [{"system": ICD10CM}]}}
    asked = [
        {"name": "valueSet", "resource": {"resourceType": "ValueSet", "status": "active", **system}},
        {"name": "filter", "valueString": name},
        {"name": "count", "valueInteger": _COUNT},
    ]
    parameters = {"resourceType": "Parameters", "parameter": asked}
    answer = await ctx.client.operation("expand", parameters, type_="ValueSet")
    for each in answer.get("expansion", {}).get("contains", ()):
        if _same(str(each.get("display", "")), name):
            return Concept("problem", str(each["code"]), str(each["display"]), ICD10CM, str(each["code"]))
    return None


def _same(display: str, name: str) -> bool:
    words, wanted = (_REST.sub(" ", each.lower()).split() for each in (display, name))
    return words == wanted or words == [*wanted, _UNSPECIFIED]
