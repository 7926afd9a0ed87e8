"""A CodeSystem resource too large to be kept as one: its JSON becomes a held code system."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fhir_server.errors import BadValue
from fhir_server.model.json import JsonError, decode, encode
from fhir_server.terminology.code_system import Header, PropertyDefinition
from fhir_server.terminology.loaders.files import Release
from fhir_server.terminology.systems.source import Plain, SourceConcept, SourceDesignation, SourceProperty

Json = Mapping[str, Any]

_UP = frozenset(("parent", "subsumedBy"))
_DOWN = frozenset(("child", "subsumes"))
_INACTIVE = frozenset(("retired", "inactive"))
_DEEPEST = 100


class Resource(Plain):
    """The Source of a CodeSystem resource.

    Spec: https://hl7.org/fhir/R4/codesystem.html
    """

    def __init__(self, path: Path, version: str = "", url: str = "") -> None:
        release = Release(path)
        name = release.one(r".*\.json(?:\.gz|\.bz2|\.xz)?", "CodeSystem in JSON")
        with release.binary(name) as stream:
            try:
                resource = decode(stream.read(), max_depth=_DEEPEST * 2)
            except JsonError as error:
                raise BadValue(f"{name}: {error}") from None
        if not isinstance(resource, dict) or resource.get("resourceType") != "CodeSystem":
            raise BadValue(f"{name} is not a CodeSystem")
        if resource.get("content") not in ("complete", "fragment", "example"):
            raise BadValue(f"{name} has no concepts of its own (content {resource.get('content')!r})")
        if not (url or resource.get("url")):
            raise BadValue(f"{name} does not say its url: give --url")
        self._concepts: Sequence[Json] = resource.get("concept", ())
        declared: Sequence[Json] = resource.get("property", ())
        self._types = {each["code"]: each.get("type", "string") for each in declared}
        self.header = _header(resource, url, version, declared)

    def _walk(self) -> Iterator[tuple[Json, str]]:
        """Yield each concept with the code that it stands within."""
        stack = [(iter(self._concepts), "")]
        while stack:
            concepts, above = stack[-1]
            concept = next(concepts, None)
            if concept is None:
                stack.pop()
                continue
            if not isinstance(concept, dict) or not isinstance(concept.get("code"), str):
                raise BadValue("a concept has no code")
            if not all(isinstance(each, dict) and "code" in each for each in concept.get("property", ())):
                raise BadValue(f"a property of the concept {concept['code'][:200]!r} has no code")
            yield concept, above
            stack.append((iter(concept.get("concept", ())), concept["code"]))

    def codes(self) -> Iterator[str]:
        """Yield every code."""
        return (concept["code"] for concept, _ in self._walk())

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield what nesting and properties say."""
        for concept, above in self._walk():
            code = concept["code"]
            if above:
                yield code, above
            for property_ in concept.get("property", ()):
                other = property_.get("valueCode")
                if other and property_["code"] in _UP:
                    yield code, other
                elif other and property_["code"] in _DOWN:
                    yield other, code

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield every concept."""
        for concept, _ in self._walk():
            values = {each["code"]: _value(each)[1] for each in concept.get("property", ())}
            status = values.get("status", "")
            yield SourceConcept(
                concept["code"],
                concept.get("display", ""),
                concept.get("definition", ""),
                values.get("inactive") == "true" or status in _INACTIVE,
                "true" in (values.get("notSelectable"), values.get("abstract")),
                status,
            )

    def designations(self) -> Iterator[SourceDesignation]:
        """Yield the designations."""
        for concept, _ in self._walk():
            for each in concept.get("designation", ()):
                use = each.get("use", {})
                yield SourceDesignation(
                    concept["code"],
                    each.get("value", ""),
                    each.get("language", ""),
                    use.get("system", ""),
                    use.get("code", ""),
                    use.get("display", ""),
                )

    def properties(self) -> Iterator[SourceProperty]:
        """Yield the properties that are no part of the hierarchy."""
        for concept, _ in self._walk():
            for each in concept.get("property", ()):
                if each["code"] not in _UP | _DOWN:
                    type_, value = _value(each)
                    yield SourceProperty(concept["code"], each["code"], value, type_)


def _header(resource: Json, url: str, version: str, declared: Sequence[Json]) -> Header:
    texts = ("id", "name", "title", "status", "content", "language", "description", "copyright")
    return Header(
        url or resource["url"],
        version=version or resource.get("version", ""),
        experimental=resource.get("experimental", False),
        case_sensitive=resource.get("caseSensitive", True),
        value_set=resource.get("valueSet", ""),
        hierarchy=resource.get("hierarchyMeaning") == "is-a",
        compositional=resource.get("compositional", False),
        properties=[
            PropertyDefinition(each["code"], each.get("uri", ""), each.get("description", ""), each.get("type", "code"))
            for each in declared
        ],
        **{name: resource[name] for name in texts if name in resource},
    )


def _value(property_: Json) -> tuple[str, str]:
    """Return the type and the text of a property's value."""
    for name, value in property_.items():
        if name.startswith("value"):
            kind = name.removeprefix("value")
            type_ = kind if kind == "Coding" else kind[:1].lower() + kind[1:]
            if isinstance(value, str):
                return type_, value
            return type_, encode(value).decode()
    return "string", ""
