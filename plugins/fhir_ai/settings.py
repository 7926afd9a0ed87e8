"""The settings of clinical AI."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fhir_ai.gate.settings import Remote

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
    remote_models: dict[str, Remote] = Field({}, description="Models elsewhere that may be asked, by name; none: off.")
    feature_store: bool = Field(
        False, description="Whether the feed keeps what models take of each version, to train at past instants."
    )
    monitor_cron: str = Field("17 3 * * *", description="When models are looked at: minute hour day month weekday.")
    monitor_days: int = Field(30, gt=0, description="Days of answers of a model that the monitor looks at.")
    monitor_keep_days: int = Field(400, gt=0, description="Days for which answers of models are kept for the monitor.")
    monitor_most: int = Field(20_000, gt=0, description="Most answers of one version that one look takes, the newest.")
    monitor_least: int = Field(200, gt=0, description="Fewest answers, or outcomes, from which a bound can break.")
    monitor_stops: bool = Field(
        True, description="Whether a version that breaks a bound is stopped, so that published scores answer instead."
    )
    monitor_psi: float = Field(0.25, gt=0, description="Bound: largest shift (PSI) of an input or of probabilities.")
    monitor_missing: float = Field(
        0.3, gt=0, description="Bound: how much more often than in training an input may be missing."
    )
    monitor_unavailable: float = Field(0.05, gt=0, description="Bound: share of calls that a model may fail to answer.")
    monitor_auroc: float = Field(0.05, gt=0, description="Bound: how far AUROC may lie below that of the card, surely.")
    monitor_calibration: float = Field(
        0.1, gt=0, description="Bound: how far mean probability and observed share may lie apart."
    )
    monitor_overridden: float = Field(0.5, gt=0, description="Bound: share of clinicians' answers that may override.")
    triage_hours: Hours = Field(72, description="Hours of observations that a triage reads; what is older is missing.")
    symptom_hours: Hours = Field(24, description="Hours for which an active Condition is a symptom of now in triage.")
    finding_hours: Hours = Field(
        168, description="Hours for which a recorded symptom or sign counts in $diagnose-support."
    )
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
    lab_feed: Literal["off", "high", "moderate", "low"] = Field(
        "high", description="Least severity of laboratory anomalies that the feed stores as DetectedIssue; off: none."
    )
    lab_feed_hours: Hours = Field(
        72, description="Hours since it was measured for which a new result is looked at by the feed; older is history."
    )
    lab_delta_days: float = Field(
        90, gt=0, description="Days for which an earlier result is compared with, by the reference change value."
    )
    lab_cv_analytical: dict[str, float] = Field(
        {}, description="Analytical variation (CV in percent) by analyte, of your laboratory; else half the biological."
    )
    maternal_feed: bool = Field(
        True, description="Whether pregnancies (EpisodeOfCare) are followed, and alerts made of warning criteria."
    )
    text_characters: int = Field(
        1_000_000, gt=0, description="Characters of a document that $extract reads; what follows is left out, and said."
    )
    text_lookups: int = Field(
        10, ge=0, description="Lines of diagnoses that one $extract looks up in ICD-10-CM where the lexicon lacks them."
    )
    text_suggestions: int = Field(2_000, gt=0, description="Suggestions of one $extract.")
    cds_cards: int = Field(8, gt=0, description="Most cards of one call of a CDS service; critical ones always come.")
    cds_card_days: int = Field(
        30, gt=0, description="Days for which a card that nobody answered is kept, so that an answer finds it."
    )
    second_hand: bool = Field(False, description="Whether scores whose formula is known at second hand are computed.")
    region: Literal["north_america", "other"] = Field(
        "other", description="Region of the kidney failure risk equations: north_america or other."
    )
