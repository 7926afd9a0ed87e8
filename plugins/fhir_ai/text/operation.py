"""`DocumentReference/$extract`: what a document says, as suggestions with their places; nothing is stored."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, Final

from fhir_ai.settings import AiSettings
from fhir_ai.text.extracting import Mention, extract
from fhir_ai.text.lookups import looked_up
from fhir_ai.text.source import Source, sources
from fhir_ai.text.suggestions import suggestion
from fhir_server.plugin_api import BadRequest, Call, FhirError, Outputs, PluginContext, Resource

_SAID: Final = (
    "Found by rules in the words of the document, and confirmed by nobody: suggestions for somebody who reads it."
)


async def extract_document(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call, for a document of the record or one that comes with the call.

    Raises:
        NotFound: there is no such document that the caller may see.
        BadRequest: it has no text that can be read.
        TooLarge: it is larger than `text_characters` allows.
    """
    settings: AiSettings = ctx.settings
    document = await _document(ctx, call)
    kinds = frozenset(map(str, call.inputs.many("kind")))
    found: list[tuple[Source, Mention]] = []
    cut = False
    for source in await sources(ctx, document, settings.text_characters):
        left = settings.text_suggestions - len(found)
        mentions, more = await asyncio.to_thread(_mentions, source, kinds, left)
        if not kinds or "problem" in kinds:
            mentions = sorted([*mentions, *await looked_up(ctx, source.shown.text)], key=lambda each: each.start)[:left]
        found += [(source, each) for each in mentions]
        cut = cut or more or source.cut
    displays = await _displays(ctx, (mention for _, mention in found))
    subject = document.get("subject", {}) if document.get("id") or document.get("subject") else {}
    name = f"DocumentReference/{document['id']}" if document.get("id") else ""
    values: list[tuple[str, Any]] = [
        ("suggestion", [("content", source.attachment), *suggestion(each, source.shown, subject, name, displays)])
        for source, each in found
    ]
    notes = [_SAID, *(["The document goes on: only its beginning was read."] if cut else [])]
    return Outputs([*values, *(("note", note) for note in notes)])


async def _document(ctx: PluginContext, call: Call) -> Resource:
    if call.request.id is not None:
        return await ctx.client.read("DocumentReference", str(call.request.id))
    given = call.inputs.one("document")
    if given is None or given.get("resourceType") != "DocumentReference":
        raise BadRequest("$extract without an id needs a DocumentReference as `document`", expression="document")
    errors = [
        issue
        for issue in ctx.core.validator.check(given, "DocumentReference", level="structure")
        if issue.severity in ("error", "fatal")
    ]
    if errors:
        raise BadRequest(errors[0].diagnostics, issues=errors)
    return {key: value for key, value in given.items() if key != "id"}


def _mentions(source: Source, kinds: frozenset[str], most: int) -> tuple[list[Mention], bool]:
    """Return the mentions, the first `most` of them, and whether there are more."""
    found: list[Mention] = []
    for each in extract(source.shown.text):
        if not kinds or each.concept.kind in kinds:
            if len(found) >= most:
                return found, True
            found.append(each)
    return found, False


async def _displays(ctx: PluginContext, mentions: Iterable[Mention]) -> dict[str, str]:
    """Return the names that the server's terminology has for the codes, where their systems are loaded."""
    found: dict[str, str] = {}
    for code, system in {each.concept.code: each.concept.system for each in mentions}.items():
        with contextlib.suppress(FhirError):  # a system that is not loaded: the code stands without its name
            told = await ctx.client.operation("lookup", [("system", system), ("code", code)], type_="CodeSystem")
            names = [str(each["valueString"]) for each in told["parameter"] if each["name"] == "display"]
            if names:
                found[code] = names[0]
    return found
