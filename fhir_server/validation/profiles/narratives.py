"""What a profile asks of the XHTML of a narrative: that its parts say where they come from, and in which language.

Spec: https://hl7.org/fhir/extensions/StructureDefinition-narrative-source-control.html and
https://hl7.org/fhir/extensions/StructureDefinition-narrative-language-control.html
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from fhir_server.validation.profiles.elements import Json, objects
from fhir_server.validation.profiles.facts import CORE
from fhir_server.validation.profiles.rule import SpotCheck
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.run import Run

_SOURCE = CORE + "narrative-source-control"
_LANGUAGE = CORE + "narrative-language-control"
_SOURCES = frozenset(("boilerplate", "generated", "original"))
_SHOWN = 60


def narrative_checks(definition: Json, profile: str) -> Iterator[SpotCheck]:
    """Yield the checks that an element definition asks for by extensions."""
    for extension in objects(definition.get("extension")):
        code = extension.get("valueCode")
        if not isinstance(code, str):
            continue
        if extension.get("url") == _SOURCE and code != "no":
            yield _sources(profile)
        elif extension.get("url") == _LANGUAGE:
            yield _languages(code, profile)


def _div(spot: Spot) -> Any:
    """The root of the XHTML; None where there is none, or a broken one, which is told elsewhere."""
    text = spot.fields.get("div")
    if not isinstance(text, str):
        return None
    try:
        return etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return None


def _sources(profile: str) -> SpotCheck:
    def check(spot: Spot, run: Run) -> None:
        root = _div(spot)
        for text in _unattributed(root, False) if root is not None else ():
            what = f"The text '{text[:_SHOWN]}' has no class that says its source (boilerplate, generated, or original)"
            run.error(spot, "business-rule", f"{what}, which the profile {profile} requires")

    return check


def _unattributed(node: Any, known: bool) -> Iterator[str]:
    known = known or not _SOURCES.isdisjoint((node.get("class") or "").split())
    if not known and (node.text or "").strip():
        yield node.text.strip()
    for child in node.iterchildren(etree.Element):
        yield from _unattributed(child, known)
        if not known and (child.tail or "").strip():
            yield child.tail.strip()


def _languages(code: str, profile: str) -> SpotCheck:
    def check(spot: Spot, run: Run) -> None:
        root = _div(spot)
        if root is None:
            return
        sections = [s.get("lang") for s in root.iterchildren(etree.Element) if s.get("lang")]
        owner = spot.above
        wanted = owner.fields.get("language") if code == "_resource" and isinstance(owner, Spot) else code
        if fault := _fault(code, wanted, sections):
            run.error(spot, "business-rule", f"{fault}, says the profile {profile}")

    return check


def _fault(code: str, wanted: Any, sections: list[str]) -> str:
    found = ", ".join(sections) or "none"
    if code == "_no":
        return f"The narrative must not have sections by language (found {found})" if sections else ""
    if code == "_yes":
        return "" if sections else "The narrative must have sections by language"
    if isinstance(wanted, str) and wanted not in sections:
        return f"The narrative must have a section in the language {wanted} (found {found})"
    return ""
