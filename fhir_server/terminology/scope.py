"""What one request sees: its version rules, its supplements, and what of all this was used."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.composition import Composition, read_composition
from fhir_server.terminology.members import parts, text
from fhir_server.terminology.outcomes import Finding, error, no_supplement
from fhir_server.terminology.resource_system import ResourceSystem
from fhir_server.terminology.sources import Sources
from fhir_server.terminology.supplements import SupplementedSystem
from fhir_server.terminology.versions import NO_RULES, VersionRules, fits, listed

_MOST_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Resolved:
    """The version of a system that counts.

    Attributes:
        system: None where there is no such version.
        shown: what a display may be taken from all the same.
        findings: what is wrong with the versions; `at` is relative to the coding.
        missing: the canonical of what would have to be there.
    """

    system: CodeSystem | None
    shown: CodeSystem | None = None
    findings: Sequence[Finding] = ()
    missing: str = ""


class Scope:
    """The sources under the rules of one request; `sets` and `systems` are those that were asked for."""

    def __init__(self, sources: Sources, rules: VersionRules = NO_RULES, supplements: Iterable[str] = ()) -> None:
        self.sources = sources
        self.rules = rules
        self.sets: dict[str, None] = {}
        self.applied: dict[tuple[str, str], None] = {}
        self._asked = tuple(dict.fromkeys(supplements))
        self._supplements: list[ResourceSystem] = []
        self._kept: dict[tuple[str, str], CodeSystem | None] = {}

    def take_supplements(self) -> None:
        """Look up the supplements that are asked for.

        Raises:
            NotFound: one is missing.
        """
        found = {canonical: self.sources.supplement(canonical) for canonical in self._asked}
        missing = [canonical for canonical, supplement in found.items() if supplement is None]
        if missing:
            raise no_supplement(",".join(missing)).raised()
        self._supplements = [supplement for supplement in found.values() if supplement is not None]

    def supplements_of(self, urls: Collection[str]) -> Sequence[str]:
        """Return the canonicals of the supplements that add to systems."""
        found = (each.header for each in self._supplements if each.header.supplements.partition("|")[0] in urls)
        return tuple(f"{each.url}|{each.version}" if each.version else each.url for each in found)

    def value_set(self, canonical: str, within: Composition | None = None) -> Composition | None:
        """Return a value set; `#id` is one that is contained in the one that names it."""
        if canonical.startswith("#"):
            contained = parts(within.resource, "contained") if within is not None else ()
            found = (each for each in contained if f"#{text(each, 'id')}" == canonical)
            return next((read_composition(each) for each in found), None)
        pinned = self.rules.value_sets.get(canonical) if "|" not in canonical else None
        if pinned:
            self.applied[("default-valueset-version", f"{canonical}|{pinned}")] = None
        name = f"{canonical}|{pinned}" if pinned else canonical
        if len(self.sets) >= _MOST_KEPT:
            self.sets.clear()
        self.sets[name] = None
        return self.sources.value_set(name)

    def system(self, url: str, version: str = "") -> CodeSystem | None:
        """Return a code system with its supplements, as the rules say."""
        rules = self.rules
        if url in rules.force:
            version = self._use("force-system-version", url, rules.force[url])
        elif not version and url in rules.default:
            version = self._use("system-version", url, rules.default[url])
        elif not version and url in rules.check:
            version = self._use("check-system-version", url, rules.check[url])
        return self.exact(url, version)

    def exact(self, url: str, version: str) -> CodeSystem | None:
        """Return a version of a code system with its supplements, whatever the rules say."""
        key = (url, version)
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            base = self.sources.system(url, version)
            own = [each for each in self._supplements if base is not None and _adds_to(each, base)]
            self._kept[key] = SupplementedSystem(base, own) if base is not None and own else base
        return self._kept[key]

    @property
    def systems(self) -> Sequence[tuple[str, str]]:
        """Return URL and version of the systems that were asked for."""
        return list(self._kept)

    def resolve(self, url: str, declared: str, version: str) -> Resolved:
        """Return the system for a coding.

        Args:
            declared: the version that a value set names.
            version: that of the coding.
        """
        wanted = self.rules.force.get(url, declared)
        if not wanted:
            found = self._open(url, version)
        elif version:
            found = self._both(url, declared, wanted, version)
        else:
            base = self.exact(url, wanted)
            shown = base or self.system(url)
            found = Resolved(base, shown) if base else self._unknown(url, wanted, shown)
        return self._checked(url, found)

    def unknown(self, url: str, version: str, *, quoted: bool = True) -> Finding:
        """Return that a system or a version of it is not known."""
        end = "could not be found, so the code cannot be validated"
        if not version:
            name = f"'{url}'" if quoted else url
            text_ = f"A definition for CodeSystem {name} {end}"
            return error("not-found", "not-found", "UNKNOWN_CODESYSTEM", text_, "system")
        known = [each for each in self.sources.versions(url) if each]
        key = "UNKNOWN_CODESYSTEM_VERSION" if known else "UNKNOWN_CODESYSTEM_VERSION_NONE"
        rest = f"Valid versions: {listed(known)}" if known else "No versions of this code system are known"
        text_ = f"A definition for CodeSystem '{url}' version '{version}' {end}. {rest}"
        return error("not-found", "not-found", key, text_, "system")

    def _open(self, url: str, version: str) -> Resolved:
        """Return the system where nothing but the coding says a version."""
        base = self.system(url)
        if base is None:
            return self._unknown(url, version if self.sources.versions(url) else "", None)
        own = self.exact(url, version) if version else base
        if own is not None:
            return Resolved(own, own)
        text_ = (
            f"The code system '{url}' version '{base.header.version}' for the versionless include in the ValueSet"
            f" include is different to the one in the value ('{version}')"
        )
        key = "VALUESET_VALUE_MISMATCH_DEFAULT"
        note = Finding("warning", "invalid", "vs-invalid", key, text_, "version", told=False)
        return Resolved(base, base, (note, self.unknown(url, version)), f"{url}|{version}")

    def _both(self, url: str, declared: str, wanted: str, version: str) -> Resolved:
        """Return the system where the value set and the coding say versions."""
        base, own = self.exact(url, wanted), self.exact(url, version)
        if base is not None and own is not None and fits(own.header.version, wanted):
            return Resolved(own, own)
        if base is not None and fits(base.header.version, version):
            return Resolved(base, base)
        findings = [] if wanted == version else [_mismatch(url, declared, wanted, version)]
        missing = ""
        if base is None or own is None:
            absent = wanted if base is None else version
            findings.append(self.unknown(url, absent))
            missing = f"{url}|{absent}"
        return Resolved(base, base or own, findings, missing)

    def _unknown(self, url: str, version: str, shown: CodeSystem | None) -> Resolved:
        missing = f"{url}|{version}" if version else url
        return Resolved(None, shown, (self.unknown(url, version),), missing)

    def _checked(self, url: str, found: Resolved) -> Resolved:
        wanted = self.rules.check.get(url)
        if wanted is None or found.system is None or fits(found.system.header.version, wanted):
            return found
        finding = version_check(url, found.system.header.version, wanted)
        return Resolved(found.system, found.shown, (*found.findings, finding), found.missing)

    def _use(self, rule: str, url: str, version: str) -> str:
        self.applied[(rule, f"{url}|{version}")] = None
        return version


def version_check(url: str, version: str, wanted: str) -> Finding:
    """Return that a version is not the one that the request asks for."""
    text_ = (
        f"The version '{version}' is not allowed for system '{url}': required to be '{wanted}' by a version-check"
        " parameter"
    )
    return error("exception", "version-error", "VALUESET_VERSION_CHECK", text_, "version")


def _mismatch(url: str, declared: str, wanted: str, version: str) -> Finding:
    start, end = f"The code system '{url}' version '{wanted}'", f"is different to the one in the value ('{version}')"
    if declared in ("", wanted):
        key, text_ = "VALUESET_VALUE_MISMATCH", f"{start} in the ValueSet include {end}"
    else:
        key = "VALUESET_VALUE_MISMATCH_CHANGED"
        text_ = f"{start} resulting from the version '{declared}' in the ValueSet include {end}"
    return error("invalid", "vs-invalid", key, text_, "version")


def _adds_to(supplement: ResourceSystem, system: CodeSystem) -> bool:
    url, _, version = supplement.header.supplements.partition("|")
    return url == system.header.url and fits(system.header.version, version)
