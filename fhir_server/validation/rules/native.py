"""Invariants by hand: those that R4 got wrong, and those whose FHIRPath is slow on large resources.

Each says whether it holds; what is misshapen holds, for structure is told elsewhere.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fhir_server.validation.run import Run

_DAY, _SECONDS = len("2000-01-01"), len("2000-01-01T00:00:00")
Holds = Callable[[Any, Run], bool]
_markup = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL).sub
_PERCENT, _DIGITS = 100, 18
_ASKING = ("batch", "transaction", "history")
_ANSWERING = ("batch-response", "transaction-response", "history")


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list."""
    return (item for item in value if type(item) is dict) if type(value) is list else iter(())


def _per_1(value: Any) -> bool | None:
    """Start is not after end: dates of one length and one zone are in the order of their texts."""
    start, end = value.get("start"), value.get("end")
    if start is None or end is None:
        return True
    if len(start) == len(end) and (len(start) <= _DAY or start[_SECONDS:] == end[_SECONDS:]):
        return start <= end or None
    return None


def _distinct(texts: Iterable[Any]) -> bool:
    found = [text for text in texts if type(text) is str]
    return len(set(found)) == len(found)


def _obs_7(value: Any, run: Run) -> bool:
    """No component has the code of the Observation where that has a value itself."""
    if "component" not in value or not any(name.startswith(("value", "_value")) for name in value):
        return True
    own: dict[Any, list[Any]] = {}
    for item in objects(value.get("code", {}).get("coding")):
        own.setdefault(item.get("code"), []).append(item)
    parts = (part.get("code") for part in objects(value["component"]))
    codings = (item for code in parts if type(code) is dict for item in objects(code.get("coding")))
    return not any(item in own.get(item.get("code"), ()) for item in codings)


def _con_3(value: Any, run: Run) -> bool:
    """A problem of the problem list has a clinical status. R4 compares a CodeableConcept with a string."""
    if "clinicalStatus" in value or _has_code([value.get("verificationStatus")], "entered-in-error"):
        return True
    return not _has_code(value.get("category"), "problem-list-item")


def _has_code(concepts: Any, code: str) -> bool:
    return any(item.get("code") == code for each in objects(concepts) for item in objects(each.get("coding")))


def _bdl_3(value: Any, run: Run) -> bool:
    wanted = value.get("type") in _ASKING
    return all(("request" in entry) is wanted for entry in objects(value.get("entry")))


def _bdl_4(value: Any, run: Run) -> bool:
    wanted = value.get("type") in _ANSWERING
    return all(("response" in entry) is wanted for entry in objects(value.get("entry")))


def _bdl_7(value: Any, run: Run) -> bool:
    return value.get("type") == "history" or _distinct(map(_version, objects(value.get("entry"))))


def _version(entry: dict[str, Any]) -> str | None:
    if "fullUrl" not in entry:
        return None
    resource = entry.get("resource")
    meta = resource.get("meta") if type(resource) is dict else None
    version = meta.get("versionId", "") if type(meta) is dict else ""
    return f"{entry['fullUrl']} {version}"


def _bdl_8(value: Any, run: Run) -> bool:
    """A full URL names no version. R4 leaves out that there may be none."""
    return "/_history/" not in str(value.get("fullUrl", ""))


def _ras_2(value: Any, run: Run) -> bool:
    """A probability is at most 100 %. R4 leaves out that there may be none."""
    probability = value.get("probabilityDecimal", 0)
    return isinstance(probability, bool) or probability <= _PERCENT


def _txt_2(value: Any, run: Run) -> bool:
    """A narrative has something to read or to look at; what XML takes for white space is neither."""
    return type(value) is not str or "<img" in value or bool(_markup(" ", value).strip(" \t\r\n"))


def _md_1(value: Any, run: Run) -> bool:
    """The maximum is `*` or positive. R4 leaves out that there may be none."""
    most = value.get("max", "*")
    return type(most) is not str or most == "*" or (most.isdecimal() and int(most[:_DIGITS]) > 0)


def _cpb_7(value: Any, run: Run) -> bool:
    return _distinct(f"{each.get('profile')} {each.get('mode')}" for each in objects(value.get("document")))


def _below(value: Any, member: str) -> Iterator[dict[str, Any]]:
    """The objects in a member, and in that member of theirs, and so on."""
    open_ = list(objects(value.get(member)))
    while open_:
        item = open_.pop()
        yield item
        open_.extend(objects(item.get(member)))


def _csd_1(value: Any, run: Run) -> bool:
    return _distinct(concept.get("code") for concept in _below(value, "concept"))


def _que_2(value: Any, run: Run) -> bool:
    return _distinct(item.get("linkId") for item in _below(value, "item"))


def _que_7(value: Any, run: Run) -> bool:
    """If the operator is 'exists', the answer is a boolean. R4 asks for System.Boolean, which no answer is."""
    return value.get("operator") != "exists" or "answerBoolean" in value


def _que_12(value: Any, run: Run) -> bool:
    """Of several conditions it is said whether all or any must hold. R4 says so in words and counts to three."""
    conditions = value.get("enableWhen")
    return type(conditions) is not list or len(conditions) <= 1 or "enableBehavior" in value


def _eld_2(value: Any, run: Run) -> bool:
    """The minimum is not over the maximum."""
    low, high = value.get("min"), value.get("max")
    if type(low) is not int or type(high) is not str or not high.isdecimal():
        return True
    return low <= int(high[:_DIGITS])


def _eld_3(value: Any, run: Run) -> bool:
    """A maximum is `*` or a number."""
    return type(value) is not str or value == "*" or (value.isascii() and value.isdecimal())


def _sdf_8(value: Any, run: Run) -> bool:
    """All elements of a snapshot are below the type."""
    elements = list(objects(value.get("element")))
    first = elements[0].get("path", "") if elements else ""
    if run.resource.get("kind") != "logical" and first != run.resource.get("type"):
        return False
    return all(str(item.get("path", "")).startswith(f"{first}.") for item in elements[1:])


def _sdf_8a(value: Any, run: Run) -> bool:
    """All elements of a differential are of the type or below it."""
    elements = list(objects(value.get("element")))
    first, type_ = str(elements[0].get("path", "")) if elements else "", str(run.resource.get("type", ""))
    if run.resource.get("kind") != "logical" and not first.startswith(type_):
        return False
    start = first.partition(".")[0] + "."
    return all(str(item.get("path", "")).startswith(start) for item in elements[1:])


NATIVE: Mapping[str, Holds] = {
    "txt-2": _txt_2,
    "obs-7": _obs_7, "con-3": _con_3, "bdl-3": _bdl_3, "bdl-4": _bdl_4, "bdl-7": _bdl_7, "cpb-7": _cpb_7,
    "bdl-8": _bdl_8, "ras-2": _ras_2, "md-1": _md_1,
    "csd-1": _csd_1, "que-2": _que_2, "que-7": _que_7, "que-12": _que_12, "eld-2": _eld_2, "eld-3": _eld_3,
    "sdf-8": _sdf_8, "sdf-8a": _sdf_8a,
}  # fmt: skip
# Those that can nearly always be told at a glance; what they do not know, FHIRPath does.
QUICK: Mapping[str, Callable[[Any], bool | None]] = {
    "per-1": _per_1,
    "cpt-2": lambda value: "value" not in value or "system" in value,
    "qty-3": lambda value: "code" not in value or "system" in value,
    "pat-1": lambda value: "name" in value or "telecom" in value,
    "obs-6": lambda value: "dataAbsentReason" not in value,
    "obs-3": lambda value: "low" in value or "high" in value or "text" in value,
    "dom-6": lambda value: "text" in value and "div" in value["text"],
}
# Structure has them already, or they cannot fail: cid-0 speaks of an element that there is not, eld-11 of all types.
LEFT_OUT = frozenset(("ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "ref-1", "txt-1", "cid-0", "eld-11"))
