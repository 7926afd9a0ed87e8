"""Conformance: the code systems that outputs of clinical AI use, among them the one with the label AIAST."""

from importlib.resources import files
from typing import Any

from fhir_ai.cds.feedback import ANSWERS, FEEDBACK
from fhir_ai.cds.making import REASON, REASONS
from fhir_ai.findings.diagnose_output import SUPPORT, SUPPORTS
from fhir_ai.findings.lab.issue import ANOMALY, CHECKS
from fhir_ai.findings.table import measures, signs
from fhir_ai.inputs.tables import INPUTS
from fhir_ai.operations.making import HOME, SCORE
from fhir_ai.operations.triage_output import ACTIONS, ACUITY
from fhir_ai.scores import SCORES
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_server.plugin_api import decode


def code_systems() -> list[dict[str, Any]]:
    """Return them all."""
    inputs = {name: each.title for name, each in {**VOCABULARY, **measures()}.items()}
    inputs |= {key: sign.title for key, sign in signs().items()}
    answers = {code: code for each in VOCABULARY.values() for code in each.codes} | {"true": "yes", "false": "no"}
    scores = {name: score.title for name, score in SCORES.items()}
    acuities = {"data-required" if code is None else str(code): text for code, text in ACTIONS.items()}
    return [
        _observation_values(),
        _system(INPUTS, "ScoreInput", answers | inputs),
        _system(SCORE, "Score", scores),
        _system(f"{HOME}/CodeSystem/maternal-alert", "MaternalAlert", {"maternal-warning": "Maternal warning"}),
        _system(ACUITY, "TriageAcuity", acuities),
        _system(REASON, "CdsOverrideReason", dict(REASONS)),
        _system(FEEDBACK, "CdsFeedback", dict(ANSWERS)),
        _system(ANOMALY, "LabAnomaly", dict(CHECKS)),
        _system(
            SUPPORT,
            "DiagnoseSupport",
            {
                **{str(key): said for key, said in SUPPORTS.items()},
                "likelihood-ratios": "Criteria and likelihood ratios",
            },
        ),
    ]


def _observation_values() -> dict[str, Any]:
    """R4's v3-ObservationValue is of 2018 and has no AIAST, as that of terminology.hl7.org has: this is both.

    A supplement proper could not do it: it may say more of the codes of a system, not add one that counts as valid.
    """
    found: dict[str, Any] = decode(files(__package__).joinpath("v3-observation-value.json").read_bytes())
    return found


def _system(url: str, name: str, codes: dict[str, str]) -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem",
        "url": url,
        "version": "1.0.0",
        "name": name,
        "status": "active",
        "caseSensitive": True,
        "content": "complete",
        "count": len(codes),
        "concept": [{"code": code, "display": display} for code, display in codes.items()],
    }
