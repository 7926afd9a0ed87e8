"""SNOMED CT in Release Format 2: the snapshot of an edition.

Spec: https://confluence.ihtsdotools.org/display/DOCRELFMT, https://hl7.org/fhir/R4/snomedct.html
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fhir_server.errors import BadValue
from fhir_server.terminology.code_system import Header, PropertyDefinition
from fhir_server.terminology.loaders.files import Release
from fhir_server.terminology.systems.source import SourceConcept, SourceDesignation, SourceProperty

URL = "http://snomed.info/sct"

_IS_A = "116680003"
_FULL_NAME = "900000000000003001"
_SYNONYM = "900000000000013009"
_DEFINITION = "900000000000550004"
_PREFERRED = "900000000000548007"
_DEFINED = "900000000000073002"
_CORE = "900000000000207008"
_MODEL = "900000000000012004"
_USES = {_FULL_NAME: "Fully specified name", _SYNONYM: "Synonym", _DEFINITION: "Definition"}
_US_ENGLISH = "900000000000509007"
_GB_ENGLISH = "900000000000508004"

_CONCEPTS = r"x?sct2_Concept_Snapshot_.*\.txt"
_DESCRIPTIONS = r"x?sct2_Description_Snapshot.*\.txt"
_DEFINITIONS = r"x?sct2_TextDefinition_Snapshot.*\.txt"
_RELATIONSHIPS = r"x?sct2_Relationship_Snapshot_.*\.txt"
_VALUES = r"x?sct2_RelationshipConcreteValues_Snapshot_.*\.txt"
_LANGUAGES = r"x?der2_cRefset_Language.*Snapshot.*\.txt"
_REFSETS = r"x?der2_(?!cRefset_Language).*Refset_.*Snapshot.*\.txt"


class SnomedCt:
    """The Source of an edition.

    Args:
        version: the URI `http://snomed.info/sct/MODULE/version/DATE`, or empty: taken from modules and file names.
    """

    kind = "snomed"

    def __init__(self, path: Path, version: str = "") -> None:
        self._release = Release(path)
        self._release.one(_CONCEPTS, "concepts of a snapshot in RF2")
        self._preferred: dict[int, int] = {}
        self._dialects: list[str] = []
        self._displays: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self.header = Header(
            URL,
            version=version or self._version(),
            id="snomed-ct",
            name="SNOMED_CT",
            title="SNOMED CT",
            language="en",
            hierarchy=True,
            compositional=False,
            value_set=f"{URL}?fhir_vs",
            properties=[
                PropertyDefinition("sufficientlyDefined", type="boolean", description="not primitive"),
                PropertyDefinition("moduleId", description="the module that the concept is in"),
            ],
            copyright="SNOMED CT is a trademark of SNOMED International; its use needs a licence.",
        )
        if not re.fullmatch(r"http://snomed\.info/x?sct/[0-9]{6,18}/version/[0-9]{8}", self.header.version):
            raise BadValue(f"a version of SNOMED CT is {URL}/MODULE/version/YYYYMMDD, not {self.header.version!r}")

    def _version(self) -> str:
        """Return the version by the release date in the files' names and the module that most concepts are in.

        Editions are the international one and more; of two modules that are not its own, the larger names the edition.
        """
        modules: Counter[str] = Counter()
        dates = []
        for name in self._release.names(_CONCEPTS):
            modules.update(module for (module,) in self._release.table(name, ("moduleId",)))
            dates += re.findall(r"_(\d{8})(?:T\d+Z?)?\.", PurePosixPath(name).name)
        others = Counter({module: count for module, count in modules.items() if module not in (_CORE, _MODEL)})
        module = others.most_common(1)[0][0] if others else _CORE
        if not dates:
            raise BadValue("the file names have no date: give --version")
        return f"{URL}/{module}/version/{max(dates)}"

    def _rows(self, pattern: str, *columns: str) -> Iterator[list[str]]:
        """Yield columns of all active rows."""
        for name in self._release.names(pattern):
            for active, *row in self._release.table(name, ("active", *columns)):
                if active == "1":
                    yield row

    @staticmethod
    def _number(text: str) -> int:
        if not text.isdecimal():
            raise BadValue(f"{text[:50]!r} stands where a number has to be")
        return int(text)

    def codes(self) -> Iterator[str]:
        """Yield every concept, the inactive ones too."""
        for name in self._release.names(_CONCEPTS):
            for (code,) in self._release.table(name, ("id",)):
                yield code

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield the active is-a relationships."""
        for child, parent, type_ in self._rows(_RELATIONSHIPS, "sourceId", "destinationId", "typeId"):
            if type_ == _IS_A:
                yield child, parent

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield the concepts with their preferred terms in English, those of the USA first."""
        self._read_languages()
        self._read_displays()
        for name in self._release.names(_CONCEPTS):
            for code, active in self._release.table(name, ("id", "active")):
                shown = self._displays.get(code, "")
                yield SourceConcept(code, shown, self._texts.get(code, ""), active != "1")

    def _read_languages(self) -> None:
        """Note for each description which language reference sets prefer it, as bits."""
        bits: dict[str, int] = {}
        columns = ("refsetId", "referencedComponentId", "acceptabilityId")
        for refset, description, acceptability in self._rows(_LANGUAGES, *columns):
            if acceptability == _PREFERRED:
                bit = bits.setdefault(refset, 1 << len(bits))
                key = self._number(description)
                self._preferred[key] = self._preferred.get(key, 0) | bit
        self._dialects = list(bits)

    def _read_displays(self) -> None:
        ranks: dict[str, int] = {}
        columns = ("id", "conceptId", "typeId", "term", "languageCode")
        for description, concept, type_, term, language in self._rows(_DESCRIPTIONS, *columns):
            rank = self._rank(self._number(description), type_, language)
            if rank > ranks.get(concept, -1):
                ranks[concept] = rank
                self._displays[concept] = term
        for concept, language, term in self._rows(_DEFINITIONS, "conceptId", "languageCode", "term"):
            if language == "en" or concept not in self._texts:
                self._texts[concept] = term

    def _rank(self, description: int, type_: str, language: str) -> int:
        """Tell how good a term is as the display."""
        if type_ != _SYNONYM:
            return 1 if language == "en" else 0
        preferred = self._preferred_in(description)
        for rank, dialect in ((5, _US_ENGLISH), (4, _GB_ENGLISH)):
            if dialect in preferred:
                return rank
        return (3 if language == "en" else 2) if preferred else 0

    def _preferred_in(self, description: int) -> list[str]:
        bits = self._preferred.get(description, 0)
        return [dialect for place, dialect in enumerate(self._dialects) if bits >> place & 1]

    def designations(self) -> Iterator[SourceDesignation]:
        """Yield all active descriptions."""
        columns = ("id", "conceptId", "typeId", "term", "languageCode")
        for description, concept, type_, term, language in self._rows(_DESCRIPTIONS, *columns):
            dialects = " ".join(self._preferred_in(self._number(description)))
            yield SourceDesignation(concept, term, language, URL, type_, _USES.get(type_, ""), dialects)
        for concept, language, term in self._rows(_DEFINITIONS, "conceptId", "languageCode", "term"):
            yield SourceDesignation(concept, term, language, URL, _DEFINITION, _USES[_DEFINITION])

    def properties(self) -> Iterator[SourceProperty]:
        """Yield attributes with their role groups, and what the concept file says."""
        self._preferred.clear()
        self._displays.clear()
        for code, module, status in self._rows(_CONCEPTS, "id", "moduleId", "definitionStatusId"):
            yield SourceProperty(code, "moduleId", module, "code")
            yield SourceProperty(code, "sufficientlyDefined", "true" if status == _DEFINED else "false", "boolean")
        columns = ("sourceId", "destinationId", "typeId", "relationshipGroup")
        for source, target, type_, group in self._rows(_RELATIONSHIPS, *columns):
            if type_ != _IS_A:
                yield SourceProperty(source, type_, target, "code", self._number(group))
        for source, value, type_, group in self._rows(_VALUES, "sourceId", "value", "typeId", "relationshipGroup"):
            number = value.startswith("#")
            text = value[1:] if number else value.strip('"')
            yield SourceProperty(source, type_, text, "decimal" if number else "string", self._number(group))

    def members(self) -> Iterator[tuple[str, str]]:
        """Yield the active members of reference sets; those that are no concepts are left out by who reads them."""
        return ((refset, code) for refset, code in self._rows(_REFSETS, "refsetId", "referencedComponentId"))
