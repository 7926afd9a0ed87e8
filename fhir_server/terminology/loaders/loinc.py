"""LOINC as it is released in CSV files, with parts, answer lists and the hierarchy where they are there.

Spec: https://loinc.org/kb/users-guide/, https://hl7.org/fhir/R4/loinc.html
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fhir_server.errors import BadValue
from fhir_server.terminology.code_system import Header, PropertyDefinition
from fhir_server.terminology.loaders.files import Release
from fhir_server.terminology.systems.source import SourceConcept, SourceDesignation, SourceProperty

URL = "http://loinc.org"

_TABLE = r"Loinc\.csv"
_PARTS = r"Part\.csv"
_LINKS = r"LoincPartLink(?:_Primary|_Supplementary)?\.csv"
_HIERARCHY = r"(?:ComponentHierarchyBySystem|MultiAxialHierarchy)\.csv"
_ANSWERS = r"AnswerList\.csv"
_ANSWER_LINKS = r"LoincAnswerListLink\.csv"
_CONSUMER = r"ConsumerName\.csv"
_VARIANTS = r"LinguisticVariants\.csv"
_AXES = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP")
_COLUMNS = (*_AXES, "CLASS", "CLASSTYPE", "STATUS", "ORDER_OBS", "UNITSREQUIRED", "EXAMPLE_UCUM_UNITS")
_NAMES = ("SHORTNAME", "DisplayName", "CONSUMER_NAME")
_CLASS_TYPES = {"1": "Laboratory class", "2": "Clinical class", "3": "Claims attachments", "4": "Surveys"}
_PART_TYPES = {"TIME": "TIME_ASPCT", "SCALE": "SCALE_TYP", "METHOD": "METHOD_TYP"}


class Loinc:
    """The Source of a release.

    Args:
        version: such as `2.77`; empty: taken from the names of files and folders.
    """

    kind = "loinc"

    def __init__(self, path: Path, version: str = "") -> None:
        self._release = Release(path)
        self._table = self._release.one(_TABLE, "table of LOINC")
        self.header = Header(
            URL,
            version=version or self._version(),
            id="loinc",
            name="LOINC",
            title="LOINC Code System",
            language="en",
            case_sensitive=False,
            hierarchy=True,
            value_set=f"{URL}/vs",
            properties=[
                *(PropertyDefinition(name, f"{URL}/property/{name}", type="string") for name in _COLUMNS),
                PropertyDefinition("copyright", description="LOINC or 3rdParty", type="string"),
                PropertyDefinition("answer-list", description="the list of its answers"),
            ],
            copyright="LOINC is copyright of Regenstrief Institute, Inc.; see https://loinc.org/license",
        )

    def _version(self) -> str:
        found = re.search(r"loinc[_-]?v?(\d+\.\d+)", f"{self._release.path}/{self._table}", re.IGNORECASE)
        if found is None:
            raise BadValue("the names of files and folders do not say which LOINC it is: give --version, such as 2.77")
        return found[1]

    def _rows(self, pattern: str) -> Iterator[dict[str, str]]:
        for name in self._release.names(pattern):
            yield from self._release.rows(name)

    def codes(self) -> Iterator[str]:
        """Yield the codes of every concept."""
        return (concept.code for concept in self.concepts())

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield the edges of the hierarchy of parts, which the observations hang from."""
        for row in self._rows(_HIERARCHY):
            if row["IMMEDIATE_PARENT"]:
                yield row["CODE"], row["IMMEDIATE_PARENT"]

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield observations, then parts, the groups of the hierarchy, lists of answers and answers."""
        seen: set[str] = set()
        for concept in self._all():
            if concept.code and concept.code not in seen:
                seen.add(concept.code)
                yield concept

    def _all(self) -> Iterator[SourceConcept]:
        for row in self._release.rows(self._table):
            status = row.get("STATUS", "")
            text = row.get("DefinitionDescription", "")
            yield SourceConcept(
                row["LOINC_NUM"], row["LONG_COMMON_NAME"], text, status == "DEPRECATED", status=status.lower()
            )
        for row in self._rows(_PARTS):
            inactive = row.get("Status", "") in ("INACTIVE", "DEPRECATED")
            yield SourceConcept(row["PartNumber"], row["PartDisplayName"] or row["PartName"], inactive=inactive)
        for row in self._rows(_HIERARCHY):
            yield SourceConcept(row["CODE"], row["CODE_TEXT"])
        for row in self._rows(_ANSWERS):
            yield SourceConcept(row["AnswerListId"], row["AnswerListName"])
        for row in self._rows(_ANSWERS):
            yield SourceConcept(row["AnswerStringId"], row["DisplayText"])

    def designations(self) -> Iterator[SourceDesignation]:
        """Yield short, display and consumer names, and translations."""
        for row in self._release.rows(self._table):
            for name in _NAMES:
                if row.get(name):
                    yield SourceDesignation(row["LOINC_NUM"], row[name], "en", URL, name)
        for row in self._rows(_CONSUMER):
            yield SourceDesignation(row["LoincNumber"], row["ConsumerName"], "en", URL, "ConsumerName")
        for row in self._rows(_VARIANTS):
            yield from self._translated(row)

    def _translated(self, variant: dict[str, str]) -> Iterator[SourceDesignation]:
        language = f"{variant['ISO_LANGUAGE']}-{variant['ISO_COUNTRY']}"
        for row in self._rows(
            rf"{variant['ISO_LANGUAGE']}{variant['ISO_COUNTRY']}{variant['ID']}LinguisticVariant\.csv"
        ):
            for name in ("LONG_COMMON_NAME", "SHORTNAME", "LinguisticVariantDisplayName"):
                if row.get(name):
                    yield SourceDesignation(row["LOINC_NUM"], row[name], language, URL, name)
            if not row.get("LONG_COMMON_NAME"):
                axes = ":".join(row.get(axis, "") for axis in _AXES)
                if axes.strip(":"):
                    yield SourceDesignation(row["LOINC_NUM"], axes, language, URL, "FullySpecifiedName")

    def properties(self) -> Iterator[SourceProperty]:
        """Yield the axes as texts and as parts, so that filters may name either."""
        for row in self._release.rows(self._table):
            code = row["LOINC_NUM"]
            yield from (SourceProperty(code, name, row[name]) for name in _COLUMNS if row.get(name))
            if row.get("CLASSTYPE") in _CLASS_TYPES:
                yield SourceProperty(code, "CLASSTYPE", _CLASS_TYPES[row["CLASSTYPE"]])
            owner = "3rdParty" if row.get("EXTERNAL_COPYRIGHT_NOTICE") else "LOINC"
            yield SourceProperty(code, "copyright", owner)
        for row in self._rows(_LINKS):
            name = row["PartTypeName"]
            yield SourceProperty(row["LoincNumber"], _PART_TYPES.get(name, name), row["PartNumber"], "code")
        for row in self._rows(_ANSWER_LINKS):
            yield SourceProperty(row["LoincNumber"], "answer-list", row["AnswerListId"], "code")

    def members(self) -> Iterator[tuple[str, str]]:
        """Yield the answers of lists, and of the questions that have those lists."""
        questions: dict[str, list[str]] = {}
        for row in self._rows(_ANSWER_LINKS):
            questions.setdefault(row["AnswerListId"], []).append(row["LoincNumber"])
        for row in self._rows(_ANSWERS):
            answer = row["AnswerStringId"]
            if answer:
                yield row["AnswerListId"], answer
                yield from ((question, answer) for question in questions.get(row["AnswerListId"], ()))
