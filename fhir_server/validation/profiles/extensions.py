"""Extensions against their definitions, wherever they stand.

Spec: https://hl7.org/fhir/R4/extensibility.html
"""

import re
from dataclasses import dataclass
from typing import Any

from fhir_server.fhirpath import FhirPathError, compile_expression
from fhir_server.validation.place import Place
from fhir_server.validation.profiles.contexts import Contexts, allows, identities, read_contexts
from fhir_server.validation.profiles.cross_version import is_cross_version, is_modifier
from fhir_server.validation.profiles.elements import Tree
from fhir_server.validation.profiles.facts import CORE
from fhir_server.validation.profiles.invariants import evaluate
from fhir_server.validation.profiles.profile import Profile
from fhir_server.validation.profiles.registry import Profiles, profiles_of
from fhir_server.validation.profiles.spot import Spot, spot_at
from fhir_server.validation.run import Run

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_EXAMPLES = re.compile(r"https?://(?:[\w.-]+\.)?(?:example\.(?:org|com)|acme\.(?:org|com))(?:[/:?#]|$)")
# HL7 goes on to publish extensions under the URLs of the core, for all versions.
_PUBLISHED_LATER = (CORE, "http://hl7.org/fhir/tools/StructureDefinition/")
_LISTS = frozenset(("extension", "modifierExtension"))
_KEPT = "profiles.extensions"
_MOST_KEPT, _LONGEST_KEPT = 5_000, 300


@dataclass(frozen=True, slots=True)
class Definition:
    """An extension as it may be used: where, in which list, under which conditions, with which parts."""

    profile: Profile
    contexts: Contexts
    modifier: bool
    invariants: tuple[str, ...]
    parts: frozenset[str]


def check_extension(extension: Any, place: Place, run: Run, modifier: bool = False) -> None:
    """Note what is wrong with an extension, as its definition sees it.

    `modifier` says that it stands in `modifierExtension`. An extension that is not known has the severity that the run
    has for these. A part of an extension, which goes by a name and not by a URL, is checked with the whole.
    """
    url = extension.get("url") if type(extension) is dict else None
    if type(url) is not str:
        return
    if "|" in url:
        run.error(place, "invalid", f"The extension URL must not contain a version: {url}")
    definition = _definition(url.partition("|")[0], run)
    if definition is None:
        _unknown(url, place, run, modifier)
        return
    owner = spot_at(place.above, run) if place.above else Spot(None, "", -1, None)
    spot = Spot(owner, place.name, place.index, extension, "Extension")
    if definition.modifier != modifier:
        _wrong_list(url, place, run, modifier)
    _check_use(definition, spot, owner, run)
    if "extension" in extension:
        _check_parts(definition, extension["extension"], place, run)
    profiles_of(run.knowledge).check(spot, definition.profile.label, run)


def _check_parts(definition: Definition, parts: Any, place: Place, run: Run) -> None:
    for index, part in enumerate(parts if type(parts) is list else ()):
        url = part.get("url") if type(part) is dict else None
        if type(url) is str and url not in definition.parts and not _ABSOLUTE.fullmatch(url):
            text = f"Sub-extension url '{url}' is not defined by the Extension {definition.profile.label}"
            run.error(Place(place, "extension", index), "invalid", text)


def _wrong_list(url: str, place: Place, run: Run, modifier: bool) -> None:
    used, is_one = ("a modifierExtension", "an extension") if modifier else ("an extension", "a modifierExtension")
    run.error(place, "structure", f"The Extension '{url}' must not be used as {used} (it is {is_one})")


def _definition(url: str, run: Run) -> Definition | None:
    kept: dict[str, Definition | None] = run.knowledge.kept.setdefault(_KEPT, {})
    if url in kept:
        return kept[url]
    found = _read(profiles_of(run.knowledge), url)
    # Resources may name any number of URLs that nobody knows, of any length.
    if found is not None or (len(kept) < _MOST_KEPT and len(url) < _LONGEST_KEPT):
        kept[url] = found
    return found


def _read(profiles: Profiles, url: str) -> Definition | None:
    profile = profiles.find(url) if _ABSOLUTE.fullmatch(url) else None
    if profile is None or profile.type != "Extension":
        return None
    invariants = profile.definition.get("contextInvariant")
    texts = tuple(text for text in invariants if isinstance(text, str)) if isinstance(invariants, list) else ()
    modifier = profile.tree.definition.get("isModifier") is True
    entry = profile.tree.children.get("extension")
    parts = frozenset(_name_of(part) for part in entry.slices) if entry else frozenset()
    return Definition(profile, read_contexts(profile.definition), modifier, texts, parts)


def _name_of(part: Tree) -> str:
    child = part.children.get("url")
    return str(child.definition.get("fixedUri", part.slice)) if child else part.slice


# --- extensions that are not known


def _unknown(url: str, place: Place, run: Run, modifier: bool) -> None:
    if not _ABSOLUTE.fullmatch(url):
        if place.above is None or place.above.name not in _LISTS:
            run.error(place, "invalid", f"Extension.url must be an absolute URL: '{url}'")
        return
    if run.findings.errors_only and run.unknown_extensions != "error" and (modifier or not is_modifier(url)):
        return
    if is_cross_version(url):
        if is_modifier(url) and not modifier:
            _wrong_list(url, place, run, modifier)
        run.inform(place, "not-supported", f"The extension {url} is of another version of FHIR, so it is not checked")
        return
    text = f"The extension {url} could not be found, so it has not been checked"
    severity = run.unknown_extensions
    if severity == "error" and _EXAMPLES.match(url):
        severity = "information"
    elif severity == "error" and url.startswith(_PUBLISHED_LATER):
        severity = "warning"
    if severity == "error":
        run.error(place, "structure", text)
    else:
        (run.warn if severity == "warning" else run.inform)(place, "not-found", text)


# --- where it is used


def _check_use(definition: Definition, spot: Spot, owner: Spot, run: Run) -> None:
    contexts = definition.contexts
    if not contexts.anywhere and not allows(contexts, owner, run):
        here = ", ".join(list(dict.fromkeys(identities(owner, run.knowledge.definitions)))[:6])
        text = f"The extension {definition.profile.label} is not allowed to be used at this point (this element is "
        run.error(owner, "structure", f"{text}[{here}]; allowed = {contexts.listed})")
    for source in definition.invariants:
        _check_invariant(source, definition, spot, owner, run)


def _check_invariant(source: str, definition: Definition, spot: Spot, owner: Spot, run: Run) -> None:
    label = definition.profile.label
    try:
        expression = compile_expression(source)
        holds = evaluate(expression, owner, run, profiles_of(run.knowledge).conforms_value, {"extension": spot.value})
    except FhirPathError as error:
        run.warn(spot, "processing", f"The context invariant of {label} cannot be evaluated: {error}")
        return
    if not holds:
        text = f"The extension {label} is not allowed here: its condition does not hold: {source}"
        run.error(owner, "structure", text)
