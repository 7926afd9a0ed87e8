"""The query of a search URL: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_8.3.4.html"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword

from dicomweb.ingest.facts import is_uid
from dicomweb.model.values import Level, Query
from fhir_server.plugin_api import BadRequest

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_IGNORED: Final = frozenset(("accept", "charset", "_", "access_token"))


def asked(level: Level, within: Mapping[Level, str], pairs: Sequence[tuple[str, str]]) -> Query:
    """Return what is searched for. Raises BadRequest: a name or value is none."""
    keys: dict[str, str] = {}
    include: list[str] = []
    numbers: dict[str, int] = {}
    fuzzy = False
    for name, value in pairs:
        if name in ("limit", "offset"):
            numbers[name] = _number(name, value)
        elif name == "fuzzymatching":
            fuzzy = _truth(value)
        elif name == "includefield":
            include += [_included(each.strip()) for each in value.split(",") if each.strip()]
        elif name not in _IGNORED:
            path = path_of(name)
            keys[path] = _joined(keys.get(path), value, path)
    for uid in within.values():
        need_uid(uid)
    return Query(level, keys, tuple(include), within, numbers.get("limit"), numbers.get("offset", 0), fuzzy)


def need_uid(text: str) -> None:
    """Raise BadRequest where a part of the path is no UID."""
    if not is_uid(text):
        raise BadRequest("a part of the path is no UID", expression="http.url")


def path_of(name: str) -> str:
    """Return the tags of an attribute named by keyword or tag, those of sequences with a dot. Raises BadRequest."""
    return ".".join(_tag(each) for each in name.split("."))


def _tag(name: str) -> str:
    if _TAG.fullmatch(name):
        try:
            dictionary_VR(int(name, 16))
        except KeyError:
            if not int(name[:4], 16) % 2:
                raise BadRequest(f"there is no attribute {name}", expression=f"http.{name}") from None
        return name.upper()
    tag = tag_for_keyword(name)
    if tag is None:
        raise BadRequest(f"there is no attribute or parameter called {name[:64]!r}", expression="http.query")
    return f"{tag:08X}"


def _included(name: str) -> str:
    return "all" if name == "all" else _tag(name.split(".")[0])


def _joined(before: str | None, value: str, path: str) -> str:
    """Return the value of a key that is named twice: of UIDs and modalities, a list. Raises BadRequest."""
    if before is None:
        return value
    if path in ("00080061", "00080060", "0020000D", "0020000E", "00080018"):
        return f"{before},{value}"
    raise BadRequest(f"{path} is named twice", expression=f"http.{path}")


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise BadRequest(f"{name} has to be a number of 0 or more", expression=f"http.{name}")
    return int(value)


def _truth(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadRequest("fuzzymatching has to be true or false", expression="http.fuzzymatching")
    return value.lower() == "true"
