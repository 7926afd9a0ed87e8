"""RxNorm in Rich Release Format.

Spec: https://www.nlm.nih.gov/research/umls/rxnorm/docs/techdoc.html, https://hl7.org/fhir/R4/rxnorm.html
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fhir_server.errors import BadValue
from fhir_server.terminology.code_system import Header, PropertyDefinition
from fhir_server.terminology.loaders.files import Release
from fhir_server.terminology.systems.source import Plain, SourceConcept, SourceDesignation, SourceProperty

URL = "http://www.nlm.nih.gov/research/umls/rxnorm"

_OWN = "RXNORM"
# Term types that name a concept another way, and never are what it is.
_OTHER_NAMES = frozenset(("SY", "TMSY", "PSN", "ET"))
_CONSO, _REL, _SAT, _STY = 18, 16, 13, 4


class RxNorm(Plain):
    """The Source of a release; of the vocabularies in it, RxNorm's own.

    Args:
        version: as `RxNorm_full_07012024` is named; empty: taken from the names of files and folders.
    """

    kind = "rxnorm"

    def __init__(self, path: Path, version: str = "") -> None:
        self._release = Release(path)
        self._conso = self._release.one(r"RXNCONSO\.RRF", "table of RxNorm concepts")
        self.header = Header(
            URL,
            version=version or self._version(),
            id="rxnorm",
            name="RxNorm",
            title="RxNorm",
            language="en",
            value_set=f"{URL}/vs",
            properties=[PropertyDefinition("TTY", type="string"), PropertyDefinition("STY", type="string")],
            copyright="RxNorm of the US National Library of Medicine; see its terms of service",
        )

    def _version(self) -> str:
        found = re.search(r"RxNorm_[a-z_]+_(\d{8})", f"{self._release.path}/{self._conso}", re.IGNORECASE)
        if found is None:
            raise BadValue("the names of files and folders do not say which RxNorm it is: give --version MMDDYYYY")
        return found[1]

    def _names(self) -> Iterator[tuple[str, str, str, bool]]:
        """Yield `(concept, term type, name, inactive)` of RxNorm's own rows."""
        for row in self._release.piped(self._conso, _CONSO):
            if row[11] == _OWN:
                yield row[0], row[12], row[14], row[16] in ("O", "Y", "E")

    def codes(self) -> Iterator[str]:
        """Yield every concept."""
        return iter(dict.fromkeys(code for code, *_ in self._names()))

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield every concept by its main name; it is inactive where all its names are."""
        best: dict[str, SourceConcept] = {}
        main: dict[str, bool] = {}
        for code, type_, name, inactive in self._names():
            before = best.get(code)
            is_main = type_ not in _OTHER_NAMES
            if before is None or (is_main, not inactive) > (main[code], not before.inactive):
                gone = inactive and (before is None or before.inactive)
                best[code], main[code] = SourceConcept(code, name, inactive=gone), is_main
            elif before.inactive and not inactive:
                best[code] = before._replace(inactive=False)
        return iter(best.values())

    def designations(self) -> Iterator[SourceDesignation]:
        """Yield every name with its term type as use."""
        for code, type_, name, _ in self._names():
            yield SourceDesignation(code, name, "en", URL, type_)

    def properties(self) -> Iterator[SourceProperty]:
        """Yield term types, semantic types, relations and attributes."""
        for code, type_, _, _ in self._names():
            yield SourceProperty(code, "TTY", type_)
        if name := self._release.maybe(r"RXNSTY\.RRF"):
            for row in self._release.piped(name, _STY):
                yield SourceProperty(row[0], "STY", row[3])
        if name := self._release.maybe(r"RXNREL\.RRF"):
            yield from self._relations(name)
        if name := self._release.maybe(r"RXNSAT\.RRF"):
            for row in self._release.piped(name, _SAT):
                if row[9] == _OWN and row[0] and row[10]:
                    yield SourceProperty(row[0], row[8], row[10])

    def _relations(self, name: str) -> Iterator[SourceProperty]:
        """Yield relations; a row says what the second of its concepts is to the first."""
        for row in self._release.piped(name, _REL):
            if row[10] == _OWN and row[0] and row[4]:
                yield SourceProperty(row[4], row[7] or row[3], row[0], "code")
