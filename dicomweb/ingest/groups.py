"""Groups: objects that come together, and what they add up to for each study."""

from dataclasses import dataclass, field
from typing import Any

from dicomweb.index.rows import Held
from dicomweb.model.values import DicomJson, Outcome, Source


@dataclass(slots=True)
class SeriesSum:
    """What a group brings of a series: the header of one object, and its instances in short by UID."""

    header: DicomJson
    instances: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(slots=True)
class StudySum:
    """What a group brings of a study. waiting: objects whose records are written with the ImagingStudy."""

    header: DicomJson
    patient: str = ""
    why: str = ""
    series: dict[str, SeriesSum] = field(default_factory=dict)
    waiting: list[tuple[Held, int]] = field(default_factory=list)

    def add(self, held: Held) -> None:
        """Count an object in."""
        found = self.series.setdefault(held.uids.series, SeriesSum(held.header))
        found.instances[held.uids.sop] = short(held.row)


@dataclass(slots=True)
class Together:
    """A group; see model/archive.py."""

    source: Source
    outcomes: list[Outcome] = field(default_factory=list)
    studies: dict[str, StudySum] = field(default_factory=dict)

    def of(self, held: Held) -> StudySum:
        """Return the sum of the study that an object belongs to."""
        return self.studies.setdefault(held.uids.study, StudySum(held.header))


def short(row: dict[str, Any]) -> list[Any]:
    """Return an instance in short, as the contents of a series have it: class, number, title, size."""
    return [row["sop_class"], row.get("number"), row.get("title") or "", row["size"]]
