"""How the codes of an expansion are shown: displays, designations, properties, as a list or a tree.

Spec: https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.expansion.contains
"""

from collections.abc import Callable, Sequence
from typing import Any

from fhir_server.terminology.code_system import Concept, Designation, Json, Property
from fhir_server.terminology.displays import Displays, displays_of, wanted
from fhir_server.terminology.expansion import Item
from fhir_server.terminology.languages import Languages
from fhir_server.terminology.members import parts, text
from fhir_server.terminology.requests import ExpandRequest
from fhir_server.terminology.statuses import standards_status

_HL7 = "http://hl7.org/fhir/StructureDefinition"
_PROPERTIES = "http://hl7.org/fhir/concept-properties#"
_STATUS = f"{_HL7}/structuredefinition-standards-status"

_SHOWN = frozenset(
    f"{_HL7}/{name}"
    for name in ("rendering-style", "rendering-xhtml", "valueset-concept-definition", "valueset-deprecated")
)
"""Extensions that are passed on; others are not for everybody."""

_AS_PROPERTY = {
    f"{_HL7}/codesystem-conceptOrder": ("order", "valueDecimal"),
    f"{_HL7}/valueset-conceptOrder": ("order", "valueDecimal"),
    f"{_HL7}/codesystem-label": ("label", "valueString"),
    f"{_HL7}/valueset-label": ("label", "valueString"),
    f"{_HL7}/itemWeight": ("weight", "valueDecimal"),
    f"{_HL7}/codesystem-ordinalValue": ("weight", "valueDecimal"),
    f"{_HL7}/valueset-ordinalValue": ("weight", "valueDecimal"),
    f"{_HL7}/ordinalValue": ("weight", "valueDecimal"),
}
_URIS = {"weight": f"{_PROPERTIES}itemWeight"}
_OF_DESIGNATIONS = frozenset((f"{_HL7}/coding-sctdescid", _STATUS))
_PREFERRED = {
    "system": "http://terminology.hl7.org/CodeSystem/hl7TermMaintInfra",
    "code": "preferredForLanguage",
    "display": "Preferred For Language",
}


class View:
    """Shows items, and remembers the properties that were shown."""

    def __init__(self, request: ExpandRequest, languages: Languages, versioned: frozenset[str]) -> None:
        self._request = request
        self._languages = languages
        self._versioned = versioned
        self._designating = bool(request.include_designations or request.designations)
        self.properties: dict[str, str] = {}

    def contains(self, item: Item) -> dict[str, Any]:
        """Return ValueSet.expansion.contains of an item."""
        concept = item.system.concept(item.code) if item.system is not None and item.code is not None else None
        concept = concept or Concept(item.code or "")
        listed = item.listed or {}
        displays = displays_of(concept, item.system.header.language if item.system else "", item.listed)
        shown = displays.best(self._languages)
        out: dict[str, Any] = {}
        extensions = _merged(concept.extension, parts(listed, "extension"))
        passed = [each for each in extensions if text(each, "url") in _SHOWN]
        passed += [each for each in parts(listed, "extension") if text(each, "url") == _STATUS]
        out |= {"extension": passed} if passed else {}
        out["system"] = item.url
        out |= {"abstract": True} if concept.abstract else {}
        out |= {"inactive": True} if concept.inactive else {}
        out |= {"version": item.version} if item.url in self._versioned and item.version else {}
        out["code"] = concept.code
        out |= {"display": shown} if shown else {}
        designations = self._designations(concept, listed, displays, shown) if self._designating else []
        out |= {"designation": designations} if designations else {}
        properties = self._properties(item, concept, extensions)
        return out | ({"property": properties} if properties else {})

    def _designations(self, concept: Concept, listed: Json, displays: Displays, shown: str) -> list[dict[str, Any]]:
        own = [
            Designation(text(each, "value"), text(each, "language"), each.get("use"), parts(each, "extension"))
            for each in parts(listed, "designation")
        ]
        found = [*concept.designations, *own]
        if shown != displays.own.value:
            if displays.own.value:
                found.insert(0, Designation(displays.own.value, displays.own.language, _PREFERRED))
            chosen = next((each for each in found if each.value == shown and self._fits(each)), None)
            found = [each for each in found if each is not chosen]
        return [_designation(each) for each in wanted(found, self._request.designations)]

    def _fits(self, each: Designation) -> bool:
        return self._languages.rank(each.language) is not None

    def _properties(self, item: Item, concept: Concept, extensions: Sequence[Json]) -> list[dict[str, Any]]:
        found: dict[str, list[tuple[str, Any]]] = {}
        if concept.status not in ("", "active") or concept.inactive:
            found["status"] = [("valueCode", concept.status or "inactive")]
        if standards := standards_status({"extension": list(concept.extension)}):
            found["status"] = [("valueCode", standards)]
        for each in extensions:
            name, kind = _AS_PROPERTY.get(text(each, "url"), ("", ""))
            value = next((each[key] for key in each if key.startswith("value")), None)
            if name and value is not None:
                found[name] = [(kind, value)]
        for name in self._request.properties:
            asked = _asked(item, concept, name)
            if asked:
                found[name] = [(each.kind, each.value) for each in asked]
        for name in found:
            self.properties.setdefault(name, _uri(item, name))
        return [{"code": name, kind: value} for name, values in found.items() for kind, value in values]


def property_definitions(view: View) -> list[dict[str, Any]]:
    """Return expansion.property of the properties that were shown."""
    return [{"code": code, "uri": uri} for code, uri in view.properties.items()]


def nested(items: Sequence[Item], show: Callable[[Item], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a tree: each code stands below the nearest of the codes above it that is shown too."""
    shown = {item.code: show(item) for item in items}
    above = {item.code: _nearest(item, shown) for item in items}
    roots: list[dict[str, Any]] = []
    for item in items:
        parent = above[item.code]
        if parent is None or _circular(item.code, above):
            roots.append(shown[item.code])
        else:
            shown[parent].setdefault("contains", []).append(shown[item.code])
    return roots


def _nearest(item: Item, shown: dict[str | None, dict[str, Any]]) -> str | None:
    system, code = item.system, item.code
    if system is None or code is None:
        return None
    seen, waiting = {code}, list(system.parents(code))
    while waiting:
        parent = waiting.pop(0)
        if parent in shown and parent != code:
            return parent
        if parent not in seen:
            seen.add(parent)
            waiting += system.parents(parent)
    return None


def _circular(code: str | None, above: dict[str | None, str | None]) -> bool:
    """Tell whether the way up never ends."""
    slow = fast = code
    while True:
        fast = above.get(above.get(fast)) if fast is not None else None
        slow = above.get(slow)
        if fast is None:
            return False
        if fast == slow:
            return True


def _merged(under: Sequence[Json], over: Sequence[Json]) -> list[Json]:
    """Return extensions; those of the value set take the place of the system's."""
    urls = {_place(each) for each in over}
    return [*(each for each in under if _place(each) not in urls), *over]


def _place(extension: Json) -> str:
    url = text(extension, "url")
    return _AS_PROPERTY.get(url, (url, ""))[0]


def _designation(each: Designation) -> dict[str, Any]:
    passed = [extension for extension in each.extension if text(extension, "url") in _OF_DESIGNATIONS]
    out: dict[str, Any] = {"extension": passed} if passed else {}
    out |= {"language": each.language} if each.language else {}
    out |= {"use": dict(each.use)} if each.use else {}
    return out | {"value": each.value}


def _asked(item: Item, concept: Concept, name: str) -> list[Property]:
    if name == "definition":
        return [Property(name, "valueString", concept.definition)] if concept.definition else []
    own = [each for each in concept.properties if each.code == name]
    if own or item.system is None or name not in ("parent", "child"):
        return own
    codes = item.system.parents(concept.code) if name == "parent" else item.system.children(concept.code)
    return [Property(name, "valueCode", code) for code in codes]


def _uri(item: Item, name: str) -> str:
    declared = item.system.header.properties if item.system is not None else ()
    own = next((each.uri for each in declared if each.code == name and each.uri), "")
    return own or _URIS.get(name) or _PROPERTIES + name
