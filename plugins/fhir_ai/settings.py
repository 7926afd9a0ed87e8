"""The settings of clinical AI."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Hours = Annotated[float, Field(gt=0)]
Minutes = Annotated[int, Field(ge=0)]


class AiSettings(BaseModel):
    """One line of meaning each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: bool = Field(True, description="Whether models compute at all; scores and red flags stay when they do not.")
    model_timeout: float = Field(0.25, gt=0, description="Seconds that one prediction of a model may take.")
    model_keys: tuple[str, ...] = Field(
        (), description="Public keys (Ed25519, raw, in base64) whose models may be registered beside the shipped ones."
    )
    triage_hours: Hours = Field(72, description="Hours of observations that a triage reads; what is older is missing.")
    symptom_hours: Hours = Field(24, description="Hours for which an active Condition is a symptom of now in triage.")
    finding_hours: Hours = Field(168, description="Hours for which a recorded symptom or sign counts in $diagnose-support.")
    triage_waits: tuple[Minutes, Minutes, Minutes, Minutes, Minutes] = Field(
        (0, 10, 60, 120, 240), description="Longest waits in minutes of acuity 1 to 5; ours, for the site to set."
    )
    risk_hours: Hours = Field(
        26_280, description="Hours of observations that $risk-assess reads; more where a score counts older ones."
    )
    most_observations: int = Field(5_000, gt=0, description="Newest observations of a patient that one call looks at.")
    group_at_once: int = Field(
        200, ge=0, description="Members of a Group up to which $risk-assess answers at once; more are a job."
    )
    cached_patients: int = Field(
        200, ge=0, description="Patients whose inputs each process keeps until a version of them changes; 0 for none."
    )
    second_hand: bool = Field(False, description="Whether scores whose formula is known at second hand are computed.")
    region: Literal["north_america", "other"] = Field(
        "other", description="Region of the kidney failure risk equations: north_america or other."
    )
