"""Settings of the matcher and of merges; docs/match.md says where the numbers come from."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]


class MatchSettings(BaseModel):
    """Settings of `[plugins.fhir_match]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    probabilities: dict[str, tuple[Share, Share]] = Field(
        {}, description='Other m and u probabilities of levels of agreement, as `"family.exact": [0.86, 0.001]`.'
    )
    population: int = Field(
        0, ge=0, description="Patients among whom one is looked for, of which one is a match; 0: as many as there are."
    )
    least_population: Positive = Field(10_000, description="Least population that is reckoned with.")
    certain: Share = Field(0.99, description="Least score of grade `certain`.")
    probable: Share = Field(0.9, description="Least score of grade `probable`.")
    possible: Share = Field(0.2, description="Least score of grade `possible`; what has less is not answered.")
    conflict_cap: Share = Field(0.6, description="Highest score of who has another given name or birth date.")
    unique_systems: tuple[str, ...] = Field(
        ("http://hl7.org/fhir/sid/us-ssn",), description="Identifier systems in which nobody has two numbers."
    )
    candidates: Positive = Field(300, description="Most candidates that one look-up by an index brings.")
    answers: Positive = Field(50, description="Most matches in one answer.")
    default_answers: Positive = Field(10, description="Matches in an answer where the caller names no count.")
    moved_per_record: Positive = Field(2_000, description="References that one record of what a merge moved holds.")
    most_moved: Positive = Field(45_000, description="Most resources that one merge changes.")
    most_named: Positive = Field(100, description="Most resources that the answer of a merge or an undo names.")
