"""Compare an answer with a template of the terminology tests.

What the templates mean: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/testcases.html
"""

import re
from collections.abc import Sequence
from typing import Any

from fhir_server.model.json import encode

VERSION = "4.0.1"
"""The FHIR version of the server under test."""

_UNORDERED = frozenset(("parameter", "part", "issue", "contains", "designation", "property", "extension"))
# The tests want `location` of some issues and leave it out of others of the same kind, where `expression` says it.
_TOO_MUCH = frozenset(("location",))
_KEYS = ("name", "code", "url", "language", "value", "system")
_SPECIAL: dict[str, re.Pattern[str]] = {
    "id": re.compile(r"[A-Za-z0-9\-.]{1,64}"),
    "uuid": re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    "url": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+"),
    "token": re.compile(r"[A-Za-z0-9._+-]+"),
    "string": re.compile(r"\S(.*\S)?", re.DOTALL),
    "date": re.compile(r"\d{4}(-\d\d(-\d\d(T\S+)?)?)?"),
    "instant": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
    "semver": re.compile(r"\d+\.\d+(\.\d+)?([-+].*)?"),
}


class Matcher:
    """Finds the first difference.

    Args:
        partial: the answer may have more than the template asks for.
    """

    def __init__(self, *, partial: bool = False) -> None:
        self._partial = partial

    def difference(self, template: Any, found: Any, path: str = "") -> str:
        """Return where and how they differ; empty where the answer fits."""
        if isinstance(template, dict) and isinstance(found, dict):
            return self._objects(template, found, path)
        if isinstance(template, list) and isinstance(found, list):
            compare = self._sets if self._partial or path.rpartition(".")[2] in _UNORDERED else self._lists
            return compare(template, found, path)
        return "" if fits(template, found) else f"{path}: expected {_short(template)}, found {_short(found)}"

    def _objects(self, template: dict[str, Any], found: dict[str, Any], path: str) -> str:
        optional = template.get("$optional-properties$", ())
        counted = template.get("$count-arrays$", ())
        for name in found:
            if name not in template and not self._partial and not (name in _TOO_MUCH and "expression" in template):
                return f"{path}.{name}: unexpected {_short(found[name])}"
        for name, wanted in template.items():
            if name.startswith("$"):
                continue
            if name not in found:
                if name in optional or "*" in optional or _all_optional(wanted):
                    continue
                return f"{path}.{name}: missing, expected {_short(wanted)}"
            if name in counted:
                if len(wanted) != len(found[name]):
                    return f"{path}.{name}: expected {len(wanted)} items, found {len(found[name])}"
            elif difference := self.difference(wanted, found[name], f"{path}.{name}"):
                return difference
        return ""

    def _lists(self, template: list[Any], found: list[Any], path: str) -> str:
        """Compare in order; optional items may be absent."""
        at = 0
        for index, wanted in enumerate(template):
            here = f"{path}[{index}]"
            difference = f"{here}: missing {_short(wanted)}"
            if at < len(found):
                difference = self.difference(wanted, found[at], here)
            if not difference:
                at += 1
            elif not _optional(wanted):
                return difference
        return f"{path}: unexpected {_short(found[at])}" if at < len(found) else ""

    def _sets(self, template: list[Any], found: list[Any], path: str) -> str:
        """Compare in any order."""
        fitting = [
            [j for j, item in enumerate(found) if not self.difference(wanted, item, path)] for wanted in template
        ]
        required = [i for i, wanted in enumerate(template) if not _optional(wanted)]
        others = [i for i, wanted in enumerate(template) if _optional(wanted)]
        taken = _assigned(fitting, [*required, *others])
        unmet = [i for i in required if i not in taken.values()]
        left = [j for j in range(len(found)) if j not in taken]
        if unmet:
            return self._nearest(template[unmet[0]], [found[j] for j in left], path)
        if left and not self._partial:
            return f"{path}: unexpected {_short(found[left[0]])}"
        return ""

    def _nearest(self, wanted: Any, left: Sequence[Any], path: str) -> str:
        """Say how the item that was meant differs, where it can be told which that is."""
        for item in left:
            keys = [key for key in _KEYS if isinstance(wanted, dict) and key in wanted]
            if keys and isinstance(item, dict) and fits(wanted[keys[0]], item.get(keys[0])):
                return self.difference(wanted, item, f"{path}[{_short(item[keys[0]])}]")
        return f"{path}: missing {_short(wanted)}" + (f"; there is {_short(left[0])}" if left else "")


def fits(template: Any, found: Any) -> bool:
    """Tell whether a value fits its template."""
    if not isinstance(template, str) or not isinstance(found, str):
        same_kind = isinstance(template, bool) == isinstance(found, bool)
        return same_kind and type(template) is not str and type(found) is not str and template == found
    if not (template.startswith("$") and template.endswith("$")):
        return found == template.replace("$version$", VERSION)
    return _fits_special(template[1:-1], found)


def _fits_special(template: str, found: str) -> bool:
    name, _, rest = template.partition(":")
    if name == "choice":
        return found in rest.split("|")
    if name == "fragments":
        return _holds(found, rest)
    if name == "external":
        return _holds(found, rest.partition(":")[2])
    if name == "version":
        return found == VERSION
    return not name or _SPECIAL[name].fullmatch(found) is not None


def _holds(found: str, fragments: str) -> bool:
    return all(fragment.lower() in found.lower() for fragment in fragments.split("|"))


def _optional(template: Any) -> bool:
    """Tell whether an item may be absent, for a server of R4 that runs in mode general."""
    filter_ = template.get("$optional$", False) if isinstance(template, dict) else False
    if isinstance(filter_, bool):
        return filter_
    if filter_.startswith("version:"):
        return VERSION.startswith(filter_.removeprefix("version:"))
    mode = filter_.removeprefix("!")
    return filter_.startswith("warning:") or (mode != "general") == filter_.startswith("!")


def _all_optional(template: Any) -> bool:
    return isinstance(template, list) and bool(template) and all(map(_optional, template))


def _assigned(fitting: Sequence[Sequence[int]], order: Sequence[int]) -> dict[int, int]:
    """Give as many templates as possible an item of their own, the first ones first: item to template."""
    taken: dict[int, int] = {}

    def place(i: int, seen: set[int]) -> bool:
        for j in fitting[i]:
            if j not in seen:
                seen.add(j)
                if j not in taken or place(taken[j], seen):
                    taken[j] = i
                    return True
        return False

    for i in order:
        place(i, set())
    return taken


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else encode(value).decode()
    return text if len(text) <= 400 else text[:400] + "..."
