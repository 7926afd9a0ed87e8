"""Analytes: names, codes, units, variation and intervals of laboratory tests, read from the JSON beside."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fhir_ai.findings.table import floats
from fhir_server.plugin_api import decode, ucum_unit


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(_Row):
    """A least and a greatest value; what is None is not bounded."""

    low: float | None = None
    high: float | None = None


class Interval(Bounds):
    """A reference interval of people of an age (years, `from` to under `below`), of one sex or of both."""

    sex: Literal["female", "male"] | None = None
    from_: float = Field(alias="from")
    below: float | None = None
    source: str

    def fits(self, age: float, sex: str) -> bool:
        """Tell whether it is of people like this one."""
        return self.sex in (None, sex) and self.from_ <= age and (self.below is None or age < self.below)


class Analyte(_Row):
    """One test. cv_within: percent; None where changes say nothing (random glucose). mass: g/mol; masses: by code."""

    name: str
    title: str
    loinc: tuple[str, ...]
    unit: str
    plausible: tuple[float, float]
    mass: float = 0
    masses: Mapping[str, float] = Field(default_factory=dict)
    cv_within: float | None = None
    critical: Bounds = Bounds()
    intervals: tuple[Interval, ...]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if ucum_unit(self.unit) is None:
            raise ValueError(f"{self.name}: {self.unit} is not UCUM")
        for each in (*self.intervals, self.critical):
            if each.low is not None and each.high is not None and each.low >= each.high:
                raise ValueError(f"{self.name}: an interval begins after its end")
        return self

    def interval(self, age: float | None, sex: str) -> Interval | None:
        """Return the reference interval of somebody; without an age there is none."""
        if age is None:
            return None
        return next((each for each in self.intervals if each.fits(age, sex)), None)

    def is_plausible(self, value: float) -> bool:
        """Tell whether a value can be."""
        return self.plausible[0] <= value <= self.plausible[1]


class Analytes(_Row):
    """All of them, with their sources."""

    version: str
    comment: str
    sources: Mapping[str, str]
    analytes: tuple[Analyte, ...]

    @model_validator(mode="after")
    def _once(self) -> Self:
        codes = [code for each in self.analytes for code in each.loinc]
        lost = [row.source for each in self.analytes for row in each.intervals if row.source not in self.sources]
        if len(codes) != len(set(codes)) or lost:
            raise ValueError(f"a LOINC code stands twice, or nothing is known of {lost}")
        return self


@cache
def table() -> Analytes:
    """Return the table. Raises ValidationError: it has not its form."""
    raw: Any = decode(files(__package__).joinpath("analytes.json").read_bytes())
    return Analytes.model_validate(floats(raw))


@cache
def by_loinc() -> Mapping[str, Analyte]:
    """Return the analytes by LOINC code."""
    return {code: each for each in table().analytes for code in each.loinc}
