"""Published scores as pure functions: SCORES has them all by name."""

from collections.abc import Mapping
from types import MappingProxyType

from fhir_ai.scores.acute import ACUTE
from fhir_ai.scores.cardiovascular import CARDIOVASCULAR
from fhir_ai.scores.comorbidity import COMORBIDITY
from fhir_ai.scores.kidney import KIDNEY
from fhir_ai.scores.liver import LIVER
from fhir_ai.scores.maternal import MATERNAL
from fhir_ai.scores.mental import MENTAL
from fhir_ai.scores.metabolic import METABOLIC
from fhir_ai.scores.organ_failure import ORGAN_FAILURE
from fhir_ai.scores.piers import PIERS
from fhir_ai.scores.prevent import PREVENT
from fhir_ai.scores.score import Score
from fhir_ai.scores.thrombosis import THROMBOSIS

SCORES: Mapping[str, Score] = MappingProxyType(
    {
        score.name: score
        for group in (
            ACUTE,
            ORGAN_FAILURE,
            THROMBOSIS,
            LIVER,
            KIDNEY,
            CARDIOVASCULAR,
            PREVENT,
            COMORBIDITY,
            METABOLIC,
            MENTAL,
            MATERNAL,
            PIERS,
        )
        for score in group
    }
)

__all__ = ["SCORES"]
