"""What a case is validated with: R4, the packages and the supporting resources that it names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from lxml import etree

from fhir_server.api.xml import xml_to_json
from fhir_server.definitions import load
from fhir_server.errors import BadXml, FhirError
from fhir_server.model.json import JsonError, decode, encode
from fhir_server.packages import Entry, Library, core_library
from fhir_server.terminology import Terminology
from fhir_server.validation import Validator
from tests.conformance.validator.cases import Case, files

Json = Mapping[str, Any]
_MOST_CODES = 100_000


@dataclass(slots=True)
class Surroundings:
    """A validator over a library, and the resources that references may resolve to."""

    library: Library
    validator: Validator
    resources: dict[str, Json] = field(default_factory=dict)

    def resolve(self, reference: str) -> Json | None:
        """Return a supporting resource by `Type/id` or by canonical URL."""
        return self.resources.get(reference)


def surroundings(case: Case) -> Surroundings:
    """Return what a case needs; cases without files of their own share one."""
    return _surroundings(tuple(_paths(case)), case.packages)


@cache
def _surroundings(paths: tuple[str, ...], packages: tuple[str, ...]) -> Surroundings:
    if not paths:
        library = _below(packages)
        return Surroundings(library, _validator(library))
    resources = [resource for path in paths for resource in _resources(path)]
    library = Library(
        (entry for number, one in enumerate(resources) for entry in _entry(one, number)), _below(packages)
    )
    return Surroundings(library, _validator(library), dict(_named(resources)))


@cache
def _below(packages: tuple[str, ...]) -> Library:
    return core_library()


def _validator(library: Library) -> Validator:
    return Validator(load(), library, Terminology(library, _MOST_CODES))


def _paths(case: Case) -> Iterator[str]:
    """Supporting files first; the profile itself where it is a file."""
    names = set(files().names)
    yield from (path for path in (*case.supporting, *case.profile_supporting, case.profile) if path in names)


def parse(data: bytes, name: str) -> Any:
    """Return the resource of a file.

    Raises:
        JsonError, FhirError: it is none.
    """
    if name.endswith(".xml") or data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        data = xml_to_json(data, load())
    return decode(data.removeprefix(b"\xef\xbb\xbf"))


def read_lenient(path: str) -> Any:
    """Return the resource of a supporting file, whose elements may stand in any order; None where it is broken."""
    try:
        return parse(files().read(path), path)
    except BadXml:
        return parse(_in_order(files().read(path)), path)
    except (JsonError, msgspec.MsgspecError):
        return None


def _in_order(data: bytes) -> bytes:
    """Move extensions in front, which is where some files have them wrong."""
    root = etree.fromstring(data)
    for element in root.iter():
        first = [child for child in element if str(child.tag).endswith("}extension")]
        for child in reversed(first):
            element.remove(child)
            element.insert(0, child)
    return etree.tostring(root)


def _resources(path: str) -> Iterator[Json]:
    """Resources that do not parse are passed over: some are of other versions of FHIR."""
    try:
        resource = read_lenient(path)
    except FhirError:
        return
    if resource is None:
        return
    yield resource
    if resource.get("resourceType") == "Bundle":
        yield from (entry["resource"] for entry in resource.get("entry", ()) if "resource" in entry)


def _entry(resource: Json, number: int) -> Iterator[Entry]:
    type_, url = resource.get("resourceType"), resource.get("url")
    if isinstance(type_, str) and isinstance(url, str):
        version = resource.get("version", "")
        yield Entry(f"case#{number}/{type_}", type_, url, version, encode(resource))


def _named(resources: list[Json]) -> Iterator[tuple[str, Json]]:
    for one in resources:
        if "id" in one:
            yield f"{one['resourceType']}/{one['id']}", one
        if "url" in one:
            yield str(one["url"]), one
            yield f"{one['url']}|{one.get('version', '')}", one
