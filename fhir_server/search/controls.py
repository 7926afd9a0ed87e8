"""The parameters that say how to answer, not what to find: `_sort`, `_count`, `_include`, `_summary` ...

Spec: https://hl7.org/fhir/R4/search.html#return
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from fhir_server.errors import BadValue, Issue, TooCostly, UnknownParameter
from fhir_server.search.asked import short
from fhir_server.search.chains import Names
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.query import Contained, Include, SortKey, Total
from fhir_server.settings import Settings

_ELEMENT = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*")
_UNSORTABLE = frozenset({"composite", "special"})
_OF_OTHERS = frozenset({"_format", "_pretty", "_page"})

E = TypeVar("E", bound=StrEnum)


class Summary(StrEnum):
    """`_summary`. Spec: https://hl7.org/fhir/R4/search.html#summary"""

    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    COUNT = "count"
    FALSE = "false"


class ContainedType(StrEnum):
    """`_containedType`: whether the container or the contained resource is returned."""

    CONTAINER = "container"
    CONTAINED = "contained"


@dataclass(frozen=True, slots=True)
class Controls:
    """The result parameters of one search, read so far."""

    sort: tuple[SortKey, ...] = ()
    count: int | None = None
    total: Total | None = None
    includes: tuple[Include, ...] = ()
    contained: Contained = Contained.FALSE
    contained_type: ContainedType = ContainedType.CONTAINER
    summary: Summary = Summary.FALSE
    elements: tuple[str, ...] = ()
    explain: bool = False
    page: str | None = None
    issues: tuple[Issue, ...] = ()
    seen: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Place:
    """What the controls are read against."""

    types: tuple[str, ...]
    registry: ParameterRegistry
    settings: Settings


def is_control(name: str) -> bool:
    """Tell whether a parameter says how to answer."""
    return name.partition(":")[0] in _READERS or name in _OF_OTHERS


def read_control(controls: Controls, name: str, value: str, place: Place) -> Controls:
    """Return the controls with one more parameter.

    Raises:
        BadValue: the value cannot be read, or the parameter is given twice.
        UnknownParameter: a parameter, type or modifier in it is not known.
    """
    if name in _OF_OTHERS:
        return replace(controls, page=value) if name == "_page" else controls
    code, _, modifier = name.partition(":")
    if modifier and code not in ("_include", "_revinclude"):
        raise UnknownParameter(f"{code} takes no modifier, but {name[:100]!r} has one", expression=f"http.{code}")
    if code in _ONCE and code in controls.seen:
        raise _bad(code, value, "it may be given once")
    read = _READERS[code](controls, name, value, place)
    return replace(read, seen=read.seen | {code})


def _bad(name: str, value: str, reason: str) -> BadValue:
    return BadValue(f"bad value {short(value)!r} for {name}: {short(reason)}", expression=f"http.{name}")


def _choice(kind: type[E], name: str, value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise _bad(name, value, f"it takes {', '.join(kind)}") from None


def _sort(controls: Controls, name: str, value: str, place: Place) -> Controls:
    parts = value.split(",")
    most = place.settings.max_sort
    if len(parts) + len(controls.sort) > most:
        raise TooCostly(f"_sort has more than {most} keys", expression="http._sort")
    return replace(controls, sort=controls.sort + tuple(_sort_key(part.strip(), value, place) for part in parts))


def _sort_key(text: str, whole: str, place: Place) -> SortKey:
    code = text.removeprefix("-")
    if not code:
        raise _bad("_sort", whole, "a name is missing")
    if code == "_score":
        raise UnknownParameter("_sort=_score is not offered: matches are not weighed", expression="http._sort")
    names = Names(place.registry, place.settings.max_chain, code)
    for type_ in place.types:
        parameter = names.parameter(type_, code)
        if parameter.type in _UNSORTABLE or code in ("_text", "_content"):
            raise _bad("_sort", whole, f"{code} has no order")
    return SortKey(code, text.startswith("-"))


def _count(controls: Controls, name: str, value: str, place: Place) -> Controls:
    if not (value.isascii() and value.isdigit()):
        raise _bad(name, value, "it takes 0 or a positive number")
    most, count = place.settings.max_page_size, int(value[:18])
    if count <= most:
        return replace(controls, count=count)
    note = Issue(f"_count={count} is over the limit: pages have {most} rows.", "informational", "information")
    return replace(controls, count=most, issues=(*controls.issues, note))


def _total(controls: Controls, name: str, value: str, place: Place) -> Controls:
    return replace(controls, total=_choice(Total, name, value))


def _total_method(controls: Controls, name: str, value: str, place: Place) -> Controls:
    """`_totalMethod`, the older name that clients such as fhirpy still send; it changes no match."""
    counted = "accurate" if value == "count" else value
    return replace(controls, total=_choice(Total, name, counted))


def _summary(controls: Controls, name: str, value: str, place: Place) -> Controls:
    return replace(controls, summary=_choice(Summary, name, value))


def _elements(controls: Controls, name: str, value: str, place: Place) -> Controls:
    names = tuple(part.strip() for part in value.split(","))
    wrong = next((each for each in names if not _ELEMENT.fullmatch(each)), None)
    if wrong is not None:
        raise _bad(name, value, f"{wrong!r} is not the name of an element")
    return replace(controls, elements=controls.elements + names)


def _contained(controls: Controls, name: str, value: str, place: Place) -> Controls:
    return replace(controls, contained=_choice(Contained, name, value))


def _contained_type(controls: Controls, name: str, value: str, place: Place) -> Controls:
    return replace(controls, contained_type=_choice(ContainedType, name, value))


def _explain(controls: Controls, name: str, value: str, place: Place) -> Controls:
    if value not in ("", "true", "false"):
        raise _bad(name, value, "it takes true or false")
    return replace(controls, explain=value != "false")


def _include(controls: Controls, name: str, value: str, place: Place) -> Controls:
    code, _, modifier = name.partition(":")
    if modifier not in ("", "iterate", "recurse"):
        raise UnknownParameter(
            f"unknown modifier :{modifier[:100]} in {code}: it takes :iterate", expression=f"http.{code}"
        )
    iterate, reverse = bool(modifier), code == "_revinclude"
    parts = value.split(":")
    if value == "*":
        found = Include("*", "*", None, reverse, iterate)
    elif len(parts) in (2, 3) and all(parts):
        target = parts[2] if len(parts) == 3 else None
        found = _checked(Include(parts[0], parts[1], target, reverse, iterate), name, value, place)
    else:
        raise _bad(name, value, "it takes Type:parameter, Type:parameter:Target, Type:* or *")
    return replace(controls, includes=(*controls.includes, found))


def _checked(include: Include, name: str, value: str, place: Place) -> Include:
    """Check an include's names against the registry."""
    for type_ in (include.source, include.target):
        if type_ is not None and type_ not in place.registry.types:
            raise _bad(name, value, f"there is no resource type {type_!r}")
    if include.param == "*":
        return include
    names = Names(place.registry, place.settings.max_chain, f"{name}={value}")
    targets = names.reference(include.source, include.param).targets
    if include.target and targets and include.target not in targets:
        raise _bad(name, value, f"{include.param} refers to {', '.join(targets)}, never to {include.target}")
    return include


_READERS: dict[str, Callable[[Controls, str, str, Place], Controls]] = {
    "_sort": _sort,
    "_count": _count,
    "_total": _total,
    "_totalMethod": _total_method,
    "_summary": _summary,
    "_elements": _elements,
    "_contained": _contained,
    "_containedType": _contained_type,
    "_include": _include,
    "_revinclude": _include,
    "__explain": _explain,
}
_ONCE = frozenset({"_count", "_total", "_summary", "_contained", "_containedType", "__explain"})
