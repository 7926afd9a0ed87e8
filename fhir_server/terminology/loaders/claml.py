"""Classifications in ClaML: ICD-10 of WHO and of nations.

Spec: https://www.iso.org/standard/69318.html (ISO 13120)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lxml import etree

from fhir_server.errors import BadValue
from fhir_server.terminology.code_system import Header, PropertyDefinition
from fhir_server.terminology.loaders.files import Release
from fhir_server.terminology.systems.source import Plain, SourceConcept, SourceDesignation, SourceProperty

URL = "http://hl7.org/fhir/sid/icd-10"

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DISPLAY = ("preferredLong", "preferred")
_ABSTRACT = frozenset(("chapter", "block"))
_DEEPEST = 40


@dataclass(slots=True)
class _Class:
    """One class, or one value of a modifier."""

    code: str
    kind: str
    above: str = ""
    rubrics: list[tuple[str, str, str]] = field(default_factory=list)
    meta: list[tuple[str, str]] = field(default_factory=list)
    modifiers: list[str] = field(default_factory=list)
    excluded: set[str] = field(default_factory=set)
    leaf: bool = True

    @property
    def display(self) -> str:
        """Return the preferred title."""
        for kind in _DISPLAY:
            for own, text, _ in self.rubrics:
                if own == kind:
                    return text
        return self.rubrics[0][1] if self.rubrics else ""


class ClaMl(Plain):
    """The Source of a classification; codes that modifiers make (a fourth digit for all of a block) are made."""

    def __init__(self, path: Path, version: str = "", url: str = "") -> None:
        self._classes: dict[str, _Class] = {}
        self._modifiers: dict[str, list[_Class]] = {}
        self._title = self._named = self._language = ""
        release = Release(path)
        with release.binary(release.one(r".*\.xml(?:\.gz)?", "file in ClaML")) as stream:
            self._read(stream)
        if not self._classes:
            raise BadValue(f"{path} has no classes: it is no ClaML")
        self._link()
        version = version or self._named
        if not version:
            raise BadValue("the file does not say its version: give --version")
        self.header = Header(
            url or URL,
            version=version,
            name="ICD10",
            title=self._title,
            language=self._language,
            case_sensitive=False,
            hierarchy=True,
            properties=[PropertyDefinition("kind", description="chapter, block or category", type="string")],
        )

    def _read(self, stream: IO[bytes]) -> None:
        # Nothing outside the file is fetched and no entity is expanded: files of strangers are read here.
        events = etree.iterparse(
            stream,
            events=("end",),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            for _, element in events:
                self._take(element)
        except etree.XMLSyntaxError as error:
            raise BadValue(f"the XML is broken: {error}") from None

    def _take(self, element: "etree._Element") -> None:
        if element.tag == "Title":
            self._named = element.get("version", "")
            self._title = _said(element) or element.get("name", "")
        elif element.tag == "Class":
            found = _class(element, element.get("kind", ""))
            self._classes[found.code] = found
        elif element.tag == "ModifierClass":
            self._modifiers.setdefault(element.get("modifier", ""), []).append(_class(element, "modifier"))
        else:
            return
        element.clear()

    def _link(self) -> None:
        for each in self._classes.values():
            if each.above in self._classes:
                self._classes[each.above].leaf = False
            if not self._language and each.rubrics:
                self._language = each.rubrics[0][2]
        for each in [each for each in self._classes.values() if each.leaf and each.kind not in _ABSTRACT]:
            made = [each]
            for modifier in self._modifiers_of(each):
                made = [self._modified(one, value) for one in made for value in self._modifiers.get(modifier, ())]

    def _modifiers_of(self, each: _Class) -> list[str]:
        """Return the modifiers of a class and of those above, the outermost first, less those excluded on the way."""
        found: list[str] = []
        excluded: set[str] = set()
        at: _Class | None = each
        for _ in range(_DEEPEST):
            if at is None:
                break
            excluded |= at.excluded
            found = [name for name in at.modifiers if name not in excluded and name not in found] + found
            at = self._classes.get(at.above)
        return found

    def _modified(self, each: _Class, value: _Class) -> _Class:
        each.leaf = False
        code = each.code + value.code
        rubrics = [("preferred", f"{each.display} : {value.display}", self._language)]
        return self._classes.setdefault(code, _Class(code, each.kind, each.code, rubrics))

    def codes(self) -> Iterator[str]:
        """Yield every code."""
        return iter(self._classes)

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield each class with the one above."""
        return ((each.code, each.above) for each in self._classes.values() if each.above)

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield every class; chapters and blocks are not to be chosen."""
        for each in self._classes.values():
            yield SourceConcept(each.code, each.display, _text(each, "definition"), abstract=each.kind in _ABSTRACT)

    def designations(self) -> Iterator[SourceDesignation]:
        """Yield inclusions and other titles."""
        for each in self._classes.values():
            for kind, text, language in each.rubrics:
                if kind in ("inclusion", *_DISPLAY) and text != each.display:
                    yield SourceDesignation(each.code, text, language, self.header.url, kind)

    def properties(self) -> Iterator[SourceProperty]:
        """Yield the kind of each class and what the file's Meta elements say."""
        for each in self._classes.values():
            yield SourceProperty(each.code, "kind", each.kind)
            yield from (SourceProperty(each.code, name, value) for name, value in each.meta)


def _text(each: _Class, kind: str) -> str:
    return next((text for own, text, _ in each.rubrics if own == kind), "")


def _said(element: "etree._Element") -> str:
    for reference in element.iterfind(".//Reference"):
        reference.text = f" ({reference.text})" if reference.get("class") == "in brackets" else f" {reference.text}"
    return " ".join("".join(str(text) for text in element.itertext()).split())


def _class(element: "etree._Element", kind: str) -> _Class:
    above = element.find("SuperClass")
    found = _Class(element.get("code", ""), kind, above.get("code", "") if above is not None else "")
    for rubric in element.iterfind("Rubric"):
        for label in rubric.iterfind("Label"):
            text = _said(label)
            if text:
                found.rubrics.append((rubric.get("kind", ""), text, label.get(_LANGUAGE, "")))
    found.meta = [(meta.get("name", ""), meta.get("value", "")) for meta in element.iterfind("Meta")]
    found.modifiers = [each.get("code", "") for each in element.iterfind("ModifiedBy")]
    found.excluded = {each.get("code", "") for each in element.iterfind("ExcludeModifier")}
    return found
