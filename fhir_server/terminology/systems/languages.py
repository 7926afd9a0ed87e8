"""Language tags (BCP 47): well formed, with every subtag in the registry of IANA, which the package langcodes carries.

Spec: https://www.rfc-editor.org/rfc/rfc5646, https://terminology.hl7.org/CodeSystem-v3-ietf3066.html
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

from fhir_server.terminology.code_system import Concept, Designation, Header, Property, PropertyDefinition
from fhir_server.terminology.systems.grammar import Grammar

URL = "urn:ietf:bcp:47"

_LONGEST = 100
_SHAPE = re.compile(
    r"(?P<language>[a-z]{2,8})(?P<extlang>(?:-[a-z]{3}){0,3})(?:-(?P<script>[a-z]{4}))?"
    r"(?:-(?P<region>[a-z]{2}|[0-9]{3}))?(?P<variant>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)"
    r"(?P<extension>(?:-[a-wy-z0-9](?:-[a-z0-9]{2,8})+)*)(?:-(?P<private>x(?:-[a-z0-9]{1,8})+))?",
    re.IGNORECASE,
)
_PRIVATE = re.compile(r"x(?:-[a-z0-9]{1,8})+", re.IGNORECASE)
# The names of the parts in filters. https://terminology.hl7.org/ (Tags for Identifying Languages)
_PROPERTIES = {
    "language": "language",
    "extlang": "ext-lang",
    "script": "script",
    "region": "region",
    "variant": "variant",
    "extension": "extension",
    "private": "private-use",
}


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry: by type and subtag in lower case, the names of each and how it is written."""

    names: Mapping[tuple[str, str], Sequence[str]]
    written: Mapping[tuple[str, str], str]


def installed() -> bool:
    """Tell whether the registry is here."""
    return find_spec("langcodes") is not None


def languages() -> Grammar:
    """Return the system of language tags."""
    header = Header(
        URL,
        name="BCP47",
        title="Tags for Identifying Languages (BCP 47)",
        case_sensitive=False,
        compositional=True,
        value_set="http://hl7.org/fhir/ValueSet/all-languages",
        properties=[PropertyDefinition(name, type="string") for name in _PROPERTIES.values()],
    )
    return Grammar(header, read, _common)


@lru_cache(2_000)
def read(code: str) -> Concept | None:
    """Return the concept of a tag."""
    if len(code) > _LONGEST:
        return None
    known = registry()
    grandfathered = known.names.get(("grandfathered", code.lower()))
    if grandfathered:
        return Concept(code, grandfathered[0])
    parts = _parts(code, known)
    if parts is None:
        return None
    whole = known.names.get(("redundant", code.lower()))
    display, others = _names(parts, known)
    designations = [Designation(name, "en") for name in (*(whole or ()), *others) if name != display]
    properties = [Property(_PROPERTIES[part], "valueString", text) for part, text in parts.items()]
    return Concept(code, display, designations=designations, properties=properties)


def _parts(code: str, known: Registry) -> Mapping[str, str] | None:
    """Return the parts of a tag; None if it is not well formed, or one is not registered."""
    if _PRIVATE.fullmatch(code):
        return {"private": code}
    found = _SHAPE.fullmatch(code)
    if found is None:
        return None
    parts = {name: text.strip("-") for name, text in found.groupdict().items() if text}
    for kind in ("language", "extlang", "script", "region", "variant"):
        subtags = parts[kind].lower().split("-") if kind in parts else []
        if len(set(subtags)) < len(subtags) or any((kind, each) not in known.names for each in subtags):
            return None
    singletons = re.findall(r"(?:^|-)([a-z0-9])(?=-)", parts.get("extension", "").lower())
    return None if len(set(singletons)) < len(singletons) else parts


def _names(parts: Mapping[str, str], known: Registry) -> tuple[str, Sequence[str]]:
    """Return the display, such as `English (United States)`, and other names."""
    if "language" not in parts:
        return "", ()
    language = known.names["language", parts["language"].lower()]
    inside = []
    for kind in ("extlang", "script", "region", "variant"):
        inside += [known.names[kind, each.lower()][0] for each in parts.get(kind, "").split("-") if each]
    inside += [parts[kind] for kind in ("extension", "private") if kind in parts]
    if not inside:
        return language[0], language[1:]
    shown = ", ".join(inside)
    others = [f"{name} ({shown})" for name in language[1:]]
    if list(parts) == ["language", "region"]:
        others.append(f"{language[0]} (Region={inside[0]})")
    return f"{language[0]} ({shown})", others


def _common() -> Iterator[str]:
    """Yield the languages alone, those of two letters first."""
    written = [text for (kind, _), text in registry().written.items() if kind == "language" and ".." not in text]
    return iter(sorted(written, key=lambda text: (len(text), text)))


@cache
def registry() -> Registry:
    """Read the registry.

    Raises:
        FileNotFoundError: langcodes is not installed.
    """
    names: dict[tuple[str, str], Sequence[str]] = {}
    written: dict[tuple[str, str], str] = {}
    text = re.sub(r"\n +", " ", _registry_file().read_text(encoding="utf-8"))
    for record in text.split("%%\n")[1:]:
        fields = [line.partition(": ") for line in record.splitlines()]
        values = {name: value for name, _, value in fields}
        described = [value for name, _, value in fields if name == "Description"]
        for each in _range(values.get("Subtag") or values["Tag"]):
            names[values["Type"], each.lower()] = described
            written[values["Type"], each.lower()] = each
    return Registry(names, written)


def _range(subtag: str) -> Iterator[str]:
    """Yield the subtags of one record; those for private use are ranges, `qaa..qtz`."""
    first, _, last = subtag.partition("..")
    if not last:
        yield first
        return
    written = str.title if first.istitle() else (str.upper if first.isupper() else str.lower)
    at = first.lower()
    while True:
        yield written(at)
        if at == last.lower():
            return
        at = _next(at)


def _next(letters: str) -> str:
    """Return what follows in the alphabet: ab after aa, ba after az."""
    kept = letters.rstrip("z")
    return f"{kept[:-1]}{chr(ord(kept[-1]) + 1)}".ljust(len(letters), "a")


def _registry_file() -> Path:
    spec = find_spec("langcodes")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package langcodes, which carries the registry of language tags, is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "language-subtag-registry.txt"
