"""Every resource of the IG packages, validated in full against R4, the profiles that it names and those that its guide
names for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fhir_server.definitions import load
from fhir_server.errors import Issue
from fhir_server.model.json import decode
from fhir_server.packages import Library, core_library, examples_of
from fhir_server.packages.tar import DEFAULT_LIMITS, files_of
from fhir_server.terminology import Terminology
from fhir_server.validation import Validator
from tests.conformance.ig_packages import NAMES, package
from tests.shared_data import shared_data

Json = Mapping[str, Any]
_MOST_CODES = 100_000


@dataclass(frozen=True, slots=True)
class Validated:
    """One resource: where it is, what it was checked against beside R4, and its errors."""

    package: str
    name: str
    profiles: tuple[str, ...]
    errors: tuple[Issue, ...]

    @property
    def title(self) -> str:
        """Return package and file."""
        return f"{self.package}/{self.name}"


@cache
def validator() -> Validator:
    """Return a validator with all packages in force at once."""
    library = Library([entry for name in NAMES for entry in package(name).entries], core_library())
    return Validator(load(), library, Terminology(library, _MOST_CODES))


@cache
def examples(name: str) -> tuple[Validated, ...]:
    """Validate the examples of a package."""
    return tuple(_validated(name, resources_of(name)))


@cache
def resources_of(name: str) -> Mapping[str, Json]:
    """Return the examples of a package by their file names."""
    return dict(_resources(examples_of(_data(name))))


@cache
def definitions(name: str) -> tuple[Validated, ...]:
    """Validate all else that a package brings: profiles, value sets, search parameters and the like."""
    return tuple(_validated(name, dict(_resources(_outside(_data(name))))))


def _data(name: str) -> bytes:
    return (shared_data("packages") / f"{name}.tgz").read_bytes()


def _outside(data: bytes) -> Iterator[tuple[str, bytes]]:
    return files_of(data, DEFAULT_LIMITS, lambda path: path.count("/") == 1 and path.endswith(".json"))


def _resources(files: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, Json]]:
    for path, data in files:
        resource = decode(data)
        if "resourceType" in resource:
            yield path.rpartition("/")[2].removesuffix(".json"), resource


def _validated(name: str, resources: Mapping[str, Json]) -> Iterator[Validated]:
    by_reference = {_key(resource): resource for resource in resources.values()}
    wanted = _named_by_guide(name)
    for title, resource in sorted(resources.items()):
        own = tuple(resource.get("meta", {}).get("profile", ()))
        more = tuple(url for url in wanted.get(_key(resource), ()) if url not in own)
        issues = validator().check(resource, profiles=more, resolve=by_reference.get)
        errors = tuple(issue for issue in issues if issue.severity in ("error", "fatal"))
        yield Validated(name, title, own + more, errors)


def _key(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource.get('id')}"


@cache
def _named_by_guide(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the profiles that the ImplementationGuide says its examples are examples of."""
    for _, resource in _resources(_outside(_data(name))):
        if resource["resourceType"] == "ImplementationGuide":
            return {
                each["reference"]["reference"]: (each["exampleCanonical"],)
                for each in resource["definition"]["resource"]
                if "exampleCanonical" in each
            }
    return {}
