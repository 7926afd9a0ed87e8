"""Links and languages of narratives; what XHTML may hold at all is told by the structure.

Spec: https://hl7.org/fhir/R4/narrative.html, https://hl7.org/fhir/R4/languages.html#1.9.0.0.1
"""

import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import child, objects, text
from fhir_server.validation.resources.xhtml import nesting_faults
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_link = re.compile(r"""<a\s[^<>]*?\bhref\s*=\s*["']([^"']*)""")
_strange = re.compile(r"[^\w;?:@&=+$.,/%\-~#\[\]!'()*|]").findall
_image = re.compile(r"""<img\s[^<>]*?\bsrc\s*=\s*["']#([^"']*)""")
_anchor = re.compile(r"""<[a-z][^<>]*?\s(?:id|name)\s*=\s*["']([^"']*)""")
_language = re.compile(r"""^\s*<div\s[^<>]*?(?<!:)\blang\s*=\s*["']([^"']*)""")
_xml_language = re.compile(r"""^\s*<div\s[^<>]*?\bxml:lang\s*=\s*["']([^"']*)""")
_MEMO, _IDS = "narrative.anchors", "narrative.ids"


def check(resource: Json, place: Place, run: Run) -> None:
    """Check the narratives of a resource, and of the sections of a Composition."""
    for owner, at in _narratives(resource, place):
        div = text(owner, "div")
        if div:
            where = Place(at, "div")
            _check_links(div, where, run)
            for wrong in nesting_faults(div):
                run.error(where, "structure", wrong)
            _check_language(div, resource, where, run)


def _narratives(owner: Json, place: Place) -> Iterator[tuple[Json, Place]]:
    if "text" in owner:
        yield child(owner, "text"), Place(place, "text")
    if "section" in owner:
        for index, section in objects(owner, "section"):
            yield from _narratives(section, Place(place, "section", index))


def _check_links(div: str, place: Place, run: Run) -> None:
    for name in _image.findall(div) if "<img" in div else ():
        if name not in _ids(run):
            run.error(place, "invalid", f"the image {shorten('#' + name)} is not in the resource")
    if "href" not in div:
        return
    for found in _link.finditer(div):
        url = found[1]
        strange = _strange(unescape(url))
        if not url or strange:
            what = f"the character {strange[0]!r}" if strange else "nothing"
            run.error(place, "invalid", f"a link must have a URL, and {shorten(url)} has {what} in it")
        elif url.startswith("#") and len(url) > 1 and url[1:] not in _anchors(run) and url[1:] not in _ids(run):
            run.error(place, "invalid", f"the link {shorten(url)} does not lead to anything in the narrative")
        elif url.startswith("urn:"):
            run.error(place, "invalid", f"{shorten(url)} cannot be followed: a link of a narrative is no URN")


def _anchors(run: Run) -> frozenset[str]:
    """Return the ids and names in all narratives of the outermost resource."""
    if _MEMO not in run.memo:
        run.memo[_MEMO] = frozenset(one for div in _divs(run.root) for one in _anchor.findall(div))
    found: frozenset[str] = run.memo[_MEMO]
    return found


def _ids(run: Run) -> frozenset[str]:
    """Return the ids of elements and resources in the outermost resource: they may be linked to, too."""
    if _IDS not in run.memo:
        run.memo[_IDS] = frozenset(_ids_below(run.root))
    found: frozenset[str] = run.memo[_IDS]
    return found


def _ids_below(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            yield value["id"]
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _ids_below(item)


def _divs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "div" and isinstance(item, str):
                yield item
            elif isinstance(item, dict | list):
                yield from _divs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _divs(item)


def _check_language(div: str, resource: Json, place: Place, run: Run) -> None:
    head = div[:400]
    if "lang" not in head:
        return
    plain, xml = _language.match(head), _xml_language.match(head)
    if plain and xml and plain[1] != xml[1]:
        run.warn(place, "business-rule", f"lang is {shorten(plain[1])}, but xml:lang is {shorten(xml[1])}")
    stated, given = text(resource, "language"), plain or xml
    if stated and given and given[1] != stated:
        run.warn(
            place,
            "business-rule",
            f"the language of the narrative is {shorten(given[1])}, of the resource {shorten(stated)}",
        )
