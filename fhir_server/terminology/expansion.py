"""Which codes a value set has: includes, excludes, filters, imports, or an expansion that it came with.

Codes are worked with as light items; what is shown of them is looked up for one page alone.

Spec: https://hl7.org/fhir/R4/valueset.html#compositions
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fhir_server.errors import BadValue, NotFound
from fhir_server.terminology.code_system import CodeSystem, Header, Json
from fhir_server.terminology.composition import Composition, Part
from fhir_server.terminology.filters import lists
from fhir_server.terminology.members import text
from fhir_server.terminology.membership import DEEPEST
from fhir_server.terminology.outcomes import Finding, circular, error, too_deep, unknown_value_set
from fhir_server.terminology.resource_system import ResourceSystem
from fhir_server.terminology.scope import Scope, version_check
from fhir_server.terminology.systems import advice
from fhir_server.terminology.versions import fits, listed

MOST_WORK = 1_000_000
"""Codes that one expansion may look at."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One code. `code` None stands for all codes of a system that nobody can list.

    Attributes:
        version: of the system, as used.
        listed: the concept as a value set lists it.
    """

    url: str
    version: str
    code: str | None
    system: CodeSystem | None
    listed: Json | None = None


Key = tuple[str, str, str | None]
Codes = dict[Key, Item]
"""An ordered set of codes by system, version and code."""


class Expansion:
    """One evaluation. What was met on the way is kept in `seen`; what is too much work is cut off.

    Args:
        open_systems: a system that is not here or cannot be listed stands as an item without a code, rather than being
            an error.
        work: codes that may be looked at.
    """

    def __init__(self, scope: Scope, *, open_systems: bool = False, work: int = MOST_WORK) -> None:
        self._scope = scope
        self._open = open_systems
        self._most = self._left = work
        self._done: dict[str, Codes] = {}
        self.seen: dict[tuple[str, str], tuple[Header | Composition, Composition]] = {}

    def codes(self, composition: Composition, within: Sequence[str] = ()) -> Codes:
        """Return the codes of a value set.

        Raises:
            BadValue: it imports itself, or it needs what has no meaning here.
            NotFound: it needs what is not here.
            TooCostly: it takes too much work.
        """
        name = composition.name
        if name in within:
            raise circular(name, ", ".join(within)).raised()
        if len(within) >= DEEPEST:
            raise too_deep(name, DEEPEST).raised()
        if name not in self._done:
            self._done[name] = self._evaluated(composition, (*within, name))
            return self._done[name]
        return self._spent(self._done[name])

    def part(self, item: Part, whole: Composition, within: Sequence[str] = (), words: str = "") -> Iterator[Item]:
        """Yield what all that one include or exclude names have in common."""
        imported = [self._imported(canonical, whole, within) for canonical in item.value_sets]
        if not item.system:
            if not imported:
                raise BadValue("a value set includes something without saying of which system or value set")
            yield from _common(imported).values()
            return
        for each in self.of_system(item, whole, words):
            self.spend(0)
            if each.code is None and imported:
                yield from (own for own in _common(imported).values() if own.url == each.url)
            elif all(_holds(codes, each) for codes in imported):
                yield each

    def _evaluated(self, composition: Composition, within: Sequence[str]) -> Codes:
        if composition.broken is not None:
            raise composition.broken.raised()
        if not composition.includes:
            if composition.listed is None:
                message = (
                    f"the value set {composition.name[:200]!r} says neither what it includes nor its whole expansion"
                )
                raise BadValue(message)
            return self._listed(composition)
        try:
            return self._composed(composition, within)
        except (BadValue, NotFound):
            if composition.listed is None:
                raise
            return self._listed(composition)

    def _composed(self, composition: Composition, within: Sequence[str]) -> Codes:
        found: Codes = {}
        by_code = composition.versions_match is True
        for item in composition.includes:
            for each in self.part(item, composition, within):
                found.setdefault(_key(each, plain=by_code), each)
        if not composition.inactive:
            found = {key: each for key, each in found.items() if not is_inactive(each)}
        for item in composition.excludes:
            gone = list(self.part(item, composition, within))
            found = without(found, gone, plain=composition.versions_match is not False)
        return found

    def _imported(self, canonical: str, whole: Composition, within: Sequence[str]) -> Codes:
        composition = self._scope.value_set(canonical, whole)
        if composition is None:
            raise unknown_value_set(canonical).raised()
        if not canonical.startswith("#"):
            self.seen[("ValueSet", composition.name)] = composition, whole
        return self.codes(composition, within)

    def of_system(self, item: Part, whole: Composition, words: str) -> Iterator[Item]:
        """Yield what a system gives to one include or exclude."""
        system = self.system(item, whole)
        if system is None:
            yield from self._absent(item)
            return
        version = system.header.version
        if item.concepts is not None:
            for code, listed_ in item.concepts.items():
                concept = system.concept(code)
                if concept is not None:
                    yield Item(item.system, version, concept.code, system, listed_)
                elif system.header.content != "complete" or self._open:
                    yield Item(item.system, version, code, system, listed_)
        elif self._open and not item.filters and not _listable(system):
            yield Item(item.system, version, None, system)
        else:
            self._before_listing(item, system)
            for code in system.select(item.filters, words):
                yield Item(item.system, version, code, system)

    def system(self, item: Part, whole: Composition) -> CodeSystem | None:
        """Return the system of an include or exclude, and note that it counts.

        Raises:
            NotFound: it is not here, and has to be.
            BadValue: its version is not the one that the request asks for.
        """
        system = self._scope.system(item.system, item.version)
        if system is None and self._open:
            return self._scope.system(item.system) if item.version else None
        if system is None:
            raise _unknown(self._scope, item.system, item.version).raised()
        version = system.header.version
        self._check(item.system, version)
        self.seen[("CodeSystem", f"{item.system}|{version}")] = system.header, whole
        return system

    def _before_listing(self, item: Part, system: CodeSystem) -> None:
        for filter_ in item.filters:
            system.verify(filter_)
        if isinstance(system, ResourceSystem) and item.filters and not any(map(lists, item.filters)):
            self.spend(system.count() or 0)

    def _absent(self, item: Part) -> Iterator[Item]:
        """Yield what can be told of a system that is not here.

        Raises:
            NotFound: nothing can.
        """
        if self._open and item.concepts is not None:
            for code, listed_ in item.concepts.items():
                yield Item(item.system, item.version, code, None, listed_)
        elif self._open and not item.filters:
            yield Item(item.system, item.version, None, None)
        else:
            raise _unknown(self._scope, item.system, item.version).raised()

    def _check(self, url: str, version: str) -> None:
        wanted = self._scope.rules.check.get(url)
        if wanted is not None and not fits(version, wanted):
            finding = version_check(url, version, wanted)
            raise Finding("error", finding.code, finding.kind, finding.key, finding.text).raised()

    def _listed(self, composition: Composition) -> Codes:
        found: Codes = {}
        for (url, code), item in (composition.listed or {}).items():
            system = self._scope.system(url)
            version = text(item, "version") or (system.header.version if system is not None else "")
            each = Item(url, version, code, system, item)
            found.setdefault(_key(each), each)
        return found

    def _spent(self, codes: Codes) -> Codes:
        self.spend(len(codes))
        return codes

    def spend(self, work: int) -> None:
        """Count work; raise TooCostly where it is too much."""
        self._left -= work + 1
        if self._left < 0:
            message = f"to expand the value set, more than {self._most} codes have to be looked at"
            raise error("too-costly", "too-costly", "VALUESET_TOO_COSTLY", message).raised()


def without(codes: Codes, gone: Iterable[Item], *, plain: bool) -> Codes:
    """Return codes less others.

    Args:
        plain: versions do not count.

    Raises:
        BadValue: the codes of a system, less some, that nobody can list.
    """
    keys = {_key(each, plain=plain) for each in gone}
    whole = {key[0] for key in keys if key[2] is None}
    left = {key: each for key, each in codes.items() if _key(each, plain=plain) not in keys and each.url not in whole}
    unlisted = {each.url for each in left.values() if each.code is None}
    for url, _, _ in keys:
        if url in unlisted:
            raise BadValue(f"the codes of the system {url[:200]!r}, less some, are not known here")
    return left


def _key(each: Item, *, plain: bool = False) -> Key:
    return each.url, "" if plain else each.version, each.code


def _common(sets: Sequence[Codes]) -> Codes:
    first, *rest = sets
    found = first
    for other in rest:
        kept = {key: each for key, each in found.items() if _holds(other, each)}
        found = kept | {key: each for key, each in other.items() if key not in kept and _within_whole(found, each)}
    return found


def _holds(codes: Codes, each: Item) -> bool:
    return _key(each) in codes or _within_whole(codes, each)


def _within_whole(codes: Codes, each: Item) -> bool:
    return (each.url, each.version, None) in codes


def is_inactive(each: Item) -> bool:
    """Tell whether a code is not to be used any more."""
    concept = each.system.concept(each.code) if each.system is not None and each.code is not None else None
    return concept is not None and concept.inactive


def _listable(system: CodeSystem) -> bool:
    return system.header.content == "complete" and system.count() is not None


def _unknown(scope: Scope, url: str, version: str) -> Finding:
    end = "could not be found, so the value set cannot be expanded"
    version = scope.rules.force.get(url, version)
    if not version:
        message = f"A definition for CodeSystem '{url}' {end}"
        return replace(error("not-found", "not-found", "UNKNOWN_CODESYSTEM_EXP", message), hint=advice(url))
    known = [each for each in scope.sources.versions(url) if each]
    key = "UNKNOWN_CODESYSTEM_VERSION_EXP" if known else "UNKNOWN_CODESYSTEM_VERSION_EXP_NONE"
    rest = f"Valid versions: {listed(known)}" if known else "No versions of this code system are known"
    message = f"A definition for CodeSystem '{url}' version '{version}' {end}. {rest}"
    return error("not-found", "not-found", key, message)
