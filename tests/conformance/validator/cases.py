"""The official validator cases: what is validated, against what, and what the reference validator says.

Source: https://github.com/FHIR/fhir-test-cases/tree/master/validator
"""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from tests.shared_data import shared_data

Json = Mapping[str, Any]

_comment = re.compile(r"\s*/\*.*?\*/")
_url = re.compile(r"\[url='[^']*'\]")
_ERRORS = ("error", "fatal")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a resource is valid, and the elements that are not, as FHIRPath without what only a reader needs."""

    valid: bool
    elements: frozenset[str]

    @staticmethod
    def of(issues: list[Json]) -> "Verdict":
        """Read the issues of an OperationOutcome."""
        errors = [issue for issue in issues if issue["severity"] in _ERRORS]
        return Verdict(not errors, frozenset(plain(path) for issue in errors for path in issue.get("expression", ())))


def plain(expression: str) -> str:
    """Drop comments, URLs of extensions and the first index, which some write for what does not repeat."""
    return _url.sub("", _comment.sub("", expression)).replace("[0]", "")


class Files:
    """The files of the suite, by path."""

    def __init__(self) -> None:
        self._zip = zipfile.ZipFile(shared_data("validator") / "cases.zip")

    def read(self, path: str) -> bytes:
        """Return one file."""
        return self._zip.read(path)

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the paths."""
        return frozenset(self._zip.namelist())

    @cached_property
    def index(self) -> list[dict[str, Any]]:
        """Return what there is."""
        found: list[dict[str, Any]] = json.loads(self.read("index.json"))
        return found


@cache
def files() -> Files:
    """Return the files, or skip where they are absent."""
    return Files()


@dataclass(frozen=True, slots=True)
class Case:
    """One validation: of a resource by itself, or (`profile`) against the profile of a file or of a URL."""

    name: str
    module: str
    file: str
    supporting: tuple[str, ...]
    profile: str
    profile_supporting: tuple[str, ...]
    packages: tuple[str, ...]
    outcome: str

    def data(self) -> bytes:
        """Return the resource as it stands in the suite."""
        return files().read(self.file)

    def expected(self) -> list[Json]:
        """Return the issues of the reference validator."""
        return list(json.loads(files().read(self.outcome)).get("issue", ()))


def cases() -> Iterator[Case]:
    """Yield every validation whose outcome is known."""
    for entry in files().index:
        yield from _validations(entry)


def _validations(entry: Json) -> Iterator[Case]:
    common = (entry["name"], entry.get("module", "none"), entry["file"], tuple(entry.get("supporting", ())))
    packages = tuple(entry.get("packages", ()))
    if entry.get("outcome"):
        yield Case(*common, "", (), packages, entry["outcome"])
    profile = entry.get("profile", {})
    if profile.get("outcome"):
        extra = tuple(profile.get("supporting", ()))
        yield Case(*common, profile["source"], extra, packages + tuple(profile.get("packages", ())), profile["outcome"])
