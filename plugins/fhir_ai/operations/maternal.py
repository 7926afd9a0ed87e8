"""`Patient/$maternal-assess`: maternal warning criteria and pre-eclampsia criteria, with an alert when one is met.

No learned model: on the open trial data they reached an AUROC of 0.615 to 0.702, too weak to alert on.
"""

from typing import Any, Final

from fhir_ai.inputs import Finder
from fhir_ai.operations.asked import asked
from fhir_ai.operations.computing import Computed, Left, compute
from fhir_ai.operations.making import HOME, about, author, concept, labelled, stored
from fhir_ai.operations.risk import basis_of, left_out, record_for
from fhir_ai.operations.risk_output import NAME, assessment
from fhir_ai.scores import SCORES
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import Call, Outputs, PluginContext, Resource, instant

MATERNAL: Final = ("mewc", "mewt", "uspstf_aspirin", "full_piers", "mini_piers")
_ALERTING: Final = frozenset(("mewc", "mewt"))
_ALERT: Final = f"{HOME}/CodeSystem/maternal-alert"


async def maternal_assess(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        NotFound: there is no such patient that the caller may see.
    """
    settings: AiSettings = ctx.settings
    whom = await asked(ctx, call)
    scores = [SCORES[name] for name in MATERNAL]
    inputs = [each for score in scores for each in score.inputs]
    finder = Finder(await record_for(ctx, whom, inputs, settings), whom.given)
    outcomes = [compute(score, finder, second_hand=settings.second_hand) for score in scores]
    done = [each for each in outcomes if isinstance(each, Computed)]
    met = [each for each in done if each.score.name in _ALERTING and each.result.band == "trigger"]
    made = [assessment(ctx, whom.patient, each) for each in done]
    made += alert(ctx, whom.patient, met) if met else []
    if whom.persist and made:
        made = await stored(ctx, NAME, made, basis_of(made))
    names = {"Flag": "alert", "CommunicationRequest": "message"}
    values: list[tuple[str, Any]] = [(names.get(each["resourceType"], "risk"), each) for each in made]
    return Outputs([*values, *(("not-computed", left_out(each)) for each in outcomes if isinstance(each, Left))])


def alert(ctx: PluginContext, patient: Resource, met: list[Computed]) -> list[dict[str, Any]]:
    """Return the Flag and the CommunicationRequest of criteria that are met."""
    said = "; ".join(f"{each.score.title}: {_parts(each)}" for each in met)
    at, code = instant(ctx.now()), (_ALERT, "maternal-warning")
    flag = {
        "resourceType": "Flag",
        "status": "active",
        "category": [concept("Clinical", ("http://terminology.hl7.org/CodeSystem/flag-category", "clinical"))],
        "code": concept(f"Maternal warning: {said}", code),
        "subject": about(patient),
        "period": {"start": at},
        "author": author(NAME),
    }
    message = {
        "resourceType": "CommunicationRequest",
        "status": "active",
        "priority": "urgent",
        "category": [concept("Maternal warning", code)],
        "subject": about(patient),
        "authoredOn": at,
        "sender": author(NAME),
        "payload": [{"contentString": f"{said}. Repeat the measurement; if confirmed, bedside evaluation now."}],
    }
    return [labelled(flag), labelled(message)]


def _parts(done: Computed) -> str:
    parts = [part for part in done.result.contributions if part.points]
    return ", ".join(f"{part.input} {part.because}".strip() for part in parts)
