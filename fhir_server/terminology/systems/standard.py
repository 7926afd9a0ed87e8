"""The code systems that come with the server or with a small package, each made when it is first asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock

from fhir_server.terminology.code_system import CodeSystem, Json
from fhir_server.terminology.systems import iso, languages, mime, regions, ucum, uris

_INSTALL = "pip install 'fhir-server[terminology]'"


@dataclass(frozen=True, slots=True)
class _Offer:
    """How to make a system, and whether what it needs is installed."""

    make: Callable[[], CodeSystem]
    installed: Callable[[], bool] = lambda: True


_OFFERS: Mapping[str, _Offer] = {
    ucum.URL: _Offer(ucum.ucum, ucum.installed),
    languages.URL: _Offer(languages.languages, languages.installed),
    mime.URL: _Offer(mime.mime_types),
    uris.URL: _Offer(uris.uris),
    iso.COUNTRIES: _Offer(iso.countries, iso.installed),
    iso.SUBDIVISIONS: _Offer(iso.subdivisions, iso.installed),
    iso.CURRENCIES: _Offer(iso.currencies, iso.installed),
    iso.LANGUAGES_1: _Offer(iso.languages_1, iso.installed),
    iso.LANGUAGES_3: _Offer(iso.languages_3, iso.installed),
    iso.AREA_CODES: _Offer(iso.areas, iso.installed),
    regions.STATES: _Offer(regions.states),
    regions.ZONES: _Offer(regions.zones, regions.installed),
}

_LOADERS: Mapping[str, str] = {
    "http://snomed.info/sct": "fhir-server terminology load snomed PATH",
    "http://loinc.org": "fhir-server terminology load loinc PATH",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "fhir-server terminology load rxnorm PATH",
    "http://hl7.org/fhir/sid/icd-10": "fhir-server terminology load claml PATH",
    "http://hl7.org/fhir/sid/icd-10-cm": "fhir-server terminology load icd-10-cm",
}


class StandardSystems:
    """Finds them; one that lacks its package counts as not there."""

    def __init__(self) -> None:
        self._made: dict[str, CodeSystem] = {}
        self._lock = Lock()

    def find(self, url: str, version: str = "", /) -> CodeSystem | None:
        """Return a system; these have one version at most, and any other that is asked for is not there."""
        system = self._made.get(url) or self._make(url)
        if system is None or (version and system.header.version not in ("", version)):
            return None
        return system

    def _make(self, url: str) -> CodeSystem | None:
        offer = _OFFERS.get(url)
        if offer is None or not offer.installed():
            return None
        with self._lock:
            if url not in self._made:
                self._made[url] = offer.make()
            return self._made[url]

    def versions(self, url: str, /) -> Sequence[str]:
        """Return the one version there is."""
        system = self.find(url)
        return () if system is None else (system.header.version,)

    def urls(self) -> Iterable[str]:
        """Return the URLs of those whose packages are installed."""
        return [url for url, offer in _OFFERS.items() if offer.installed()]

    def value_set(self, url: str, /) -> Json | None:
        """Return None: R4 brings the value sets of these systems."""
        return None


@cache
def standard_systems() -> StandardSystems:
    """Return the provider of this process."""
    return StandardSystems()


def advice(url: str) -> str:
    """Return the command that brings a code system, or nothing where there is none."""
    if url in _OFFERS:
        return "" if _OFFERS[url].installed() else _INSTALL
    return _LOADERS.get(url, "")
