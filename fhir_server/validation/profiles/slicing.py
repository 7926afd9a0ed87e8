"""Slices of a repeating element or of a choice: which occurrence is of which slice, how many there are, in what order.

Spec: https://hl7.org/fhir/R4/profiling.html#slicing
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.validation.profiles.budget import spend
from fhir_server.validation.profiles.discriminators import PlainTest, Test
from fhir_server.validation.profiles.rule import Good, SpotCheck, goods_of
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.run import Run

DEFAULT = "@default"
GoodSlicing = Callable[[list[tuple[Any, str]], Run], bool]
"""Whether nothing at all is to be said of occurrences, each with its type."""


@dataclass(slots=True, eq=False)
class Slice:
    """One slice.

    Attributes:
        label: `Patient.extension:race`.
        test: whether an occurrence is of it; None where that cannot be told.
        url: the URL of the extensions that it is for, where that alone tells.
        checks: what holds for each occurrence of it.
        inner: its re-slices.
    """

    label: str
    name: str
    test: Test | None
    url: str
    least: int
    most: int
    checks: tuple[SpotCheck, ...]
    inner: "Slicing | None" = None

    @property
    def plain(self) -> Good | None:
        """The test on mere JSON, where that suffices."""
        return self.test.plain if isinstance(self.test, PlainTest) else None


@dataclass(slots=True, eq=False)
class Slicing:
    """The slices of one element; made when a profile is compiled."""

    label: str
    profile: str
    rules: str
    ordered: bool
    slices: Sequence[Slice]
    extensions: bool
    default: Slice | None = None
    by_url: dict[str, int] = field(default_factory=dict)
    good: "GoodSlicing | None" = None

    def __post_init__(self) -> None:
        if all(part.url for part in self.slices):
            for index, part in enumerate(self.slices):
                self.by_url.setdefault(part.url, index)
        if not self.ordered and self.rules != "openAtEnd" and self.default is None:
            self.good = _quick(self)

    def check(self, spots: list[Spot], owner: Spot, run: Run) -> None:
        """Check the occurrences of the element in their owner."""
        if not spend(run, len(spots) * (1 if self.by_url else len(self.slices))):
            return
        members: dict[int, list[Spot]] = {}
        last, rest = -1, False
        for spot in spots:
            index = self._slice_of(spot, run)
            if index is None:
                rest = True
                self._unmatched(spot, run)
                continue
            if self.rules == "openAtEnd" and rest:
                self._misplaced(spot, run, "elements of no slice must come at the end")
                rest = False
            elif self.ordered and index < last:
                self._misplaced(spot, run, f"it is out of order: found after {self.slices[last].name}")
            last = max(last, index)
            members.setdefault(index, []).append(spot)
            for check in self.slices[index].checks:
                check(spot, run)
        self._counts(members, owner, run)

    def _slice_of(self, spot: Spot, run: Run) -> int | None:
        if self.by_url:
            url = spot.fields.get("url")
            return self.by_url.get(url) if isinstance(url, str) else None
        hits = [i for i, part in enumerate(self.slices) if part.test is not None and part.test(spot, run)]
        if len(hits) > 1:
            names = ", ".join(self.slices[i].name for i in hits)
            run.error(spot, "invalid", f"Profile {self.profile}, Element matches more than one slice - {names}")
        return hits[0] if hits else None

    def _unmatched(self, spot: Spot, run: Run) -> None:
        if self.default is not None:
            for check in self.default.checks:
                check(spot, run)
        elif self.rules == "closed":
            text = f"This element does not match any known slice of {self.label} in the profile {self.profile}"
            run.error(spot, "invalid", f"{text} and slicing is CLOSED")
        elif not self.extensions:
            text = f"This element does not match any known slice of {self.label} in the profile {self.profile}"
            run.inform(spot, "informational", f"{text} (this may not be a problem)")

    def _misplaced(self, spot: Spot, run: Run, why: str) -> None:
        run.error(spot, "invalid", f"As specified by profile {self.profile}, {why}")

    def _counts(self, members: dict[int, list[Spot]], owner: Spot, run: Run) -> None:
        for index, part in enumerate(self.slices):
            if part.least or part.most < len(members.get(index, ())):
                self._count(part, len(members.get(index, ())), owner, run)
            if part.inner is not None and index in members:
                part.inner.check(members[index], owner, run)

    def _count(self, part: Slice, count: int, owner: Spot, run: Run) -> None:
        if part.test is None:
            return
        if count == 0 and part.least:
            text = f"Slice '{part.label}': a matching slice is required, but not found (from {self.profile})"
            run.error(owner, "structure", text)
        elif count < part.least:
            text = f"{part.label}: minimum required = {part.least}, but only found {count} (from {self.profile})"
            run.error(owner, "structure", text)
        elif count > part.most:
            text = f"{part.label}: max allowed = {part.most}, but found {count} (from {self.profile})"
            run.error(owner, "structure", text)


def _quick(slicing: Slicing) -> GoodSlicing | None:
    """The quick look, where all slices can be told apart by JSON and have no slices in them."""
    tests = [part.plain for part in slicing.slices]
    goods = [goods_of(part.checks) for part in slicing.slices]
    if None in tests or None in goods or any(part.inner for part in slicing.slices):
        return None
    parts = [
        (test, checks) for test, checks in zip(tests, goods, strict=True) if test is not None and checks is not None
    ]
    bounds = [(part.least, part.most) for part in slicing.slices]
    open_, silent = slicing.rules != "closed", slicing.extensions

    def good(found: list[tuple[Any, str]], run: Run) -> bool:
        if not spend(run, len(found) * len(parts)):
            return False
        counts = [0] * len(parts)
        for value, type_ in found:
            hits = [index for index, (test, _) in enumerate(parts) if test(value, type_, run)]
            if len(hits) == 1:
                counts[hits[0]] += 1
                for check in parts[hits[0]][1]:
                    if not check(value, type_, run):
                        return False
            elif hits or not open_ or not (silent or run.findings.errors_only):
                return False
        return all(least <= count <= most for count, (least, most) in zip(counts, bounds, strict=True))

    return good
