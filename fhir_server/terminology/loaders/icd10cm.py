"""ICD-10-CM of another year: the order file of the US National Center for Health Statistics.

Spec: https://www.cms.gov/medicare/coding-billing/icd-10-codes (icd10cm-order-YYYY.txt)
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fhir_server.errors import BadValue
from fhir_server.terminology.code_system import Header
from fhir_server.terminology.loaders.files import Release
from fhir_server.terminology.systems.source import Plain, SourceConcept

URL = "http://hl7.org/fhir/sid/icd-10-cm"

_FILE = r"icd10cm[-_]order[-_].*\.txt"
_LINE = re.compile(r"(?P<order>\d{5}) (?P<code>[A-Z0-9]{3,7}) +(?P<valid>[01]) (?P<short>.{60}) (?P<title>.+)")


class IcdTenCmOrder(Plain):
    """The Source of an order file: categories and codes, without chapters and blocks."""

    def __init__(self, path: Path, version: str = "") -> None:
        release = Release(path)
        name = release.one(_FILE if path.is_dir() or path.suffix == ".zip" else r".*", "order file of ICD-10-CM")
        year = re.search(r"(20\d\d)", name)
        if not version and not year:
            raise BadValue("the file name does not say the year: give --version")
        self._titles: dict[str, str] = {}
        with release.text(name) as lines:
            for number, line in enumerate(lines, start=1):
                self._take(number, line.rstrip())
        self.header = Header(
            URL,
            version=version or (year[1] if year else ""),
            name="ICD10CM",
            title="International Classification of Diseases, 10th Revision, Clinical Modification",
            case_sensitive=False,
            hierarchy=True,
            copyright="public domain",
        )

    def _take(self, number: int, line: str) -> None:
        if not line:
            return
        found = _LINE.fullmatch(line)
        if found is None:
            raise BadValue(f"line {number} is not one of an order file: {line[:60]!r}")
        self._titles[found["code"]] = found["title"].strip()

    def codes(self) -> Iterator[str]:
        """Yield every code."""
        return (_dotted(code) for code in self._titles)

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield each code with the longest other one that it begins with; placeholders are skipped."""
        for code in self._titles:
            for length in range(len(code) - 1, 2, -1):
                if code[:length] in self._titles:
                    yield _dotted(code), _dotted(code[:length])
                    break

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield every concept."""
        return (SourceConcept(_dotted(code), title) for code, title in self._titles.items())


def _dotted(code: str) -> str:
    return code if len(code) <= 3 else f"{code[:3]}.{code[3:]}"
