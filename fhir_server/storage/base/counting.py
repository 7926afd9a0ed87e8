"""Counts by group: what the resources of a search are told apart by, and how often each is found.

An engine that can count by itself says so in `Capabilities.counts` and implements `Counts`; for all others whoever asks
reads what the search finds and counts with `labels_of`, which is the law that all of them follow:

  - token: system and code ("" for no system); what has no code has no label. A token on a string stands casefolded.
  - reference: `Type/id`, or the absolute or canonical URL; what points to a contained resource has no label.
  - date: the year, month or day, in the zone of the server, in which the value begins; a period without a beginning
    has no label.

A resource counts once under each of its labels, and under None if it has none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import product
from typing import Final, Literal, Protocol, runtime_checkable

from fhir_server.search.compare import instant_interval
from fhir_server.search.dates import EARLIEST
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import VersionLike
from fhir_server.search.query import Search
from fhir_server.storage.base.errors import StoreError

Label = tuple[str, ...]
"""(system, code), or one text."""
Group = tuple[Label | None, ...]
Unit = Literal["year", "month", "day"]

UPDATED: Final = "_lastUpdated"
_DAY: Final = 86_400_000_000
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LETTERS: Final[Mapping[Unit, int]] = {"year": 4, "month": 7, "day": 10}


@dataclass(frozen=True, slots=True)
class By:
    """A search parameter that tells resources apart. unit: of dates. folds: a token on strings alone."""

    param: str
    kind: Literal["token", "reference", "date"]
    unit: Unit = "month"
    zone: tzinfo = UTC
    folds: bool = False


@dataclass(slots=True)
class Counted:
    """How many resources a search finds, and how many of them have which labels.

    notes: sentences that the client must see.
    """

    total: int = 0
    groups: dict[Group, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def add(self, labels: Sequence[frozenset[Label]]) -> None:
        """Count one resource with the labels of each parameter."""
        self.total += 1
        for group in product(*(each or (None,) for each in labels)):
            self.groups[group] = self.groups.get(group, 0) + 1


class TooManyGroups(StoreError):
    """There are more groups than may be counted."""


@runtime_checkable
class Counts(Protocol):
    """A store that counts by itself."""

    async def counted(self, search: Search, by: Sequence[By], most: int) -> Counted | None:
        """Return the exact counts of all that a search finds now, whatever its page; None where the engine cannot tell
        this time.

        Raises:
            TooManyGroups: there are more than `most`.
            SearchTooCostly: it took too long.
        """


def labels_of(by: By, version: VersionLike, entries: IndexEntries) -> frozenset[Label]:
    """Return the labels of one resource."""
    if by.kind == "token":
        codes = ((system or "", code) for param, system, code in entries.tokens if param == by.param and code)
        return frozenset(each for each in codes if not by.folds or each[1] == each[1].casefold())
    if by.kind == "reference":
        return frozenset(_references(by.param, entries))
    if by.param == UPDATED:
        return _buckets(by, [instant_interval(version.last_updated)[0]])
    return _buckets(by, (low for param, low, _ in entries.dates if param == by.param))


def _references(param: str, entries: IndexEntries) -> Iterable[Label]:
    for code, type_, id_, url, _ in entries.references:
        if code == param and url is not None:
            yield (url,)
        elif code == param and type_ and id_ and type_ != "#":
            yield (f"{type_}/{id_}",)


def _buckets(by: By, lows: Iterable[int]) -> frozenset[Label]:
    texts = (bucket(low, by.unit, by.zone) for low in lows)
    return frozenset((text,) for text in texts if text)


def bucket(low: int, unit: Unit, zone: tzinfo) -> str:
    """Return the year, month or day, such as `2020-01`, of an instant in microseconds; "" for the open end."""
    if low <= EARLIEST:
        return ""
    try:
        local = (_START + timedelta(microseconds=low)).astimezone(zone)
    except OverflowError:
        return ""
    return f"{local.year:04}-{local.month:02}-{local.day:02}"[: _LETTERS[unit]]


def bucketer(unit: Unit, zone: tzinfo) -> Callable[[int], str]:
    """Return `bucket` with a memory of days that lie within one bucket, for many instants."""
    known: dict[int, str | None] = {}

    def found(low: int) -> str:
        day = low // _DAY
        if day not in known:
            first, last = (bucket(each, unit, zone) for each in (day * _DAY, (day + 1) * _DAY - 1))
            known[day] = first if first == last else None
        text = known[day]
        return bucket(low, unit, zone) if text is None else text

    return found
