"""Replace links in a parsed resource wherever the specification says that links stand.

Spec: https://hl7.org/fhir/R4/http.html#trules
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from fhir_server.definitions import Definitions

Place = Literal["reference", "uri", "narrative"]
Resolve = Callable[[str, Place], "str | None"]

_REFERENCE = "Reference.reference"
_ATTRIBUTE = re.compile(r"""((?:href|src)\s*=\s*)("[^"]*"|'[^']*')""")


def replace_links(definitions: Definitions, type_: str, value: Mapping[str, Any], resolve: Resolve) -> dict[str, Any]:
    """Return an object with its links replaced: references, elements of type uri and url, narrative.

    Elements of type canonical are not replaced; those of type oid and uuid are not either, since what would replace
    them is no oid and no uuid.
    """
    by_name = definitions.types[type_].by_name
    found: dict[str, Any] = {}
    for name, item in value.items():
        element = by_name.get(name)
        if element is None:
            found[name] = item
            continue
        of = element.json_names.get(name)
        code = element.type_key or (of.code if of else "")
        if (type_, name) == ("Reference", "reference"):
            code = _REFERENCE
        found[name] = _replaced(definitions, code, item, resolve)
    return found


def _replaced(definitions: Definitions, code: str, item: Any, resolve: Resolve) -> Any:
    if isinstance(item, list):
        return [_replaced(definitions, code, each, resolve) for each in item]
    if isinstance(item, str):
        return _replaced_text(code, item, resolve)
    if not isinstance(item, dict):
        return item
    type_ = item.get("resourceType") if code == "Resource" else code
    if not isinstance(type_, str) or type_ not in definitions.types:
        return item
    return replace_links(definitions, type_, item, resolve)


def _replaced_text(code: str, text: str, resolve: Resolve) -> str:
    if code == _REFERENCE:
        return resolve(text, "reference") or text
    if code in ("uri", "url"):
        return resolve(text, "uri") or text
    if code == "xhtml":
        return _ATTRIBUTE.sub(lambda match: _attribute(match, resolve), text)
    return text


def _attribute(match: re.Match[str], resolve: Resolve) -> str:
    quote, link = match[2][0], match[2][1:-1]
    target = resolve(link.replace("&amp;", "&"), "narrative")
    return match[0] if target is None else f"{match[1]}{quote}{target}{quote}"
