"""Table: the rules and the signs they ask about, read from the JSON beside and held to their form."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fhir_ai.inputs.tables import DIAGNOSES, PLACES
from fhir_ai.scores import SCORES
from fhir_ai.scores.score import Input
from fhir_ai.scores.symptoms import SYMPTOMS, Symptom
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_server.plugin_api import decode


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Limits(_Row):
    """At least `from`, over `above`, under `below`; one of them at least."""

    from_: float | None = Field(None, alias="from")
    above: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Tell whether a value lies within."""
        return (
            (self.from_ is None or value >= self.from_)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def said(self) -> str:
        """Return the limits in words."""
        parts = (("from", self.from_), ("over", self.above), ("under", self.below))
        return " and ".join(f"{word} {limit:g}" for word, limit in parts if limit is not None)


class Measure(_Limits):
    """The newest value of a measure lies within limits."""

    measure: str


class ScoreIs(_Limits):
    """A published score lies within limits, or has a band."""

    score: str
    band: str | None = None


class Rise(_Row):
    """The newest value of a measure is more than an earlier one: `by` so much, or `times` as much."""

    rise: str
    by: float | None = None
    times: float | None = None
    within_hours: float


class Lasting(_Limits):
    """Two values of a measure, over some days apart, both lie within limits."""

    lasting: str
    days: float


class Known(_Row):
    """A diagnosis of the record; one that is not recorded counts as no, as in the sources' chart reviews."""

    diagnosis: str


class Sex(_Row):
    """The administrative gender."""

    sex: Literal["female", "male"]


class AnyOf(_Row):
    """One at least holds."""

    any: "tuple[Asked, ...]"


class AllOf(_Row):
    """All hold."""

    all: "tuple[Asked, ...]"


class SomeOf(_Row):
    """So many of them hold."""

    at_least: int
    of: "tuple[Asked, ...]"


Asked = str | Measure | ScoreIs | Rise | Lasting | Known | Sex | AnyOf | AllOf | SomeOf
Ratio = Annotated[float, Field(gt=0, le=1000)]


class Evidence(_Row):
    """What is asked, with its likelihood ratios. group: rows that are not independent; the strongest counts."""

    if_: Asked = Field(alias="if")
    called: str = ""
    present: Ratio | None = None
    absent: Ratio | None = None
    group: str = ""
    source: str

    @model_validator(mode="after")
    def _tells(self) -> Self:
        if self.present is None and self.absent is None:
            raise ValueError("a row without a likelihood ratio tells nothing")
        return self


class Criterion(_Row):
    """Published criteria. definition: who meets them has the condition; screen: it is to be looked for."""

    name: str
    kind: Literal["definition", "screen"]
    says: str
    if_: Asked = Field(alias="if")
    source: str


class Condition(_Row):
    """One condition of the differential. asks: when it is considered at all; needs: and besides; unless: not then."""

    name: str
    title: str
    snomed: str
    icd10: str
    setting: str
    ages: tuple[float, float | None]
    sex: Literal["female", "male"] | None = None
    asks: Asked
    needs: Asked | None = None
    unless: Asked | None = None
    evidence: tuple[Evidence, ...]
    criteria: tuple[Criterion, ...] = ()


class Rules(_Row):
    """All of them, with their sources."""

    version: str
    comment: str
    sources: Mapping[str, str]
    conditions: tuple[Condition, ...]

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Refuse names that nothing stands for: a row that cannot fire is worse than none."""
        for condition in self.conditions:
            rows: tuple[Evidence | Criterion, ...] = (*condition.evidence, *condition.criteria)
            lost = [row.source for row in rows if row.source not in self.sources]
            asked = [condition.asks, condition.needs, condition.unless, *(row.if_ for row in rows)]
            lost += [name for each in asked if each is not None for name in unknown(each)]
            if lost:
                raise ValueError(f"{condition.name}: nothing is known of {', '.join(lost)}")
        return self


class _Sign(_Row):
    key: str
    title: str
    snomed: tuple[str, ...]
    icd10: tuple[str, ...]


class _MeasureRow(_Row):
    name: str
    hours: float
    title: str = ""
    unit: str = ""
    low: float = 0
    high: float = 0


class _Signs(_Row):
    comment: str
    signs: tuple[_Sign, ...]
    measures: tuple[_MeasureRow, ...]


def parts(asked: Asked) -> Iterator[Asked]:
    """Yield what is asked in the end: no any, all and so many of."""
    inner = getattr(asked, "any", None) or getattr(asked, "all", None) or getattr(asked, "of", None)
    if inner is None:
        yield asked
    for each in inner or ():
        yield from parts(each)


def unknown(asked: Asked) -> Iterator[str]:
    """Yield the names that nothing stands for."""
    for part in parts(asked):
        if isinstance(part, str):
            known, name = part in signs(), part
        elif isinstance(part, Measure):
            known, name = part.measure in measures(), part.measure
        elif isinstance(part, Rise | Lasting):
            name = part.rise if isinstance(part, Rise) else part.lasting
            known = name in measures()
        elif isinstance(part, ScoreIs):
            known, name = part.score in SCORES, part.score
        elif isinstance(part, Known):
            known, name = part.diagnosis in DIAGNOSES, part.diagnosis
        else:
            continue
        if not known:
            yield name


@cache
def signs() -> Mapping[str, Symptom]:
    """Return the signs and symptoms by key: ours, and those that red flags ask about."""
    return {**SYMPTOMS, **{each.key: Symptom(each.key, each.title, each.snomed, each.icd10) for each in _signs().signs}}


@cache
def measures() -> Mapping[str, Input]:
    """Return the measures by name, each with the hours for which it counts here."""
    return {each.name: _input(each) for each in _signs().measures}


@cache
def rules() -> Rules:
    """Return the rules. Raises ValidationError: the table has not its form."""
    return Rules.model_validate(_read("rules.json"))


@cache
def _signs() -> _Signs:
    return _Signs.model_validate(_read("signs.json"))


def _input(row: _MeasureRow) -> Input:
    if row.name not in PLACES:
        raise ValueError(f"{row.name}: no LOINC code is known")
    known = VOCABULARY.get(row.name)
    if known is not None:
        return Input(known.name, known.title, known.unit, low=known.low, high=known.high, window=row.hours)
    return Input(row.name, row.title, row.unit, low=row.low, high=row.high, window=row.hours)


def _read(name: str) -> Any:
    """Read a table; its numbers are floats here, where nothing of a record is kept."""
    return floats(decode(files(__package__).joinpath(name).read_bytes()))


def floats(value: Any) -> Any:
    """Return JSON with floats for decimals and tuples for lists."""
    if isinstance(value, dict):
        return {key: floats(each) for key, each in value.items()}
    if isinstance(value, list):
        return tuple(floats(each) for each in value)
    return value if isinstance(value, str | bool | int) or value is None else float(value)
