"""`Patient/$maternal-assess`: maternal warning criteria and pre-eclampsia criteria, with an alert when one is met.

No learned model: on the open trial data they reached an AUROC of 0.615 to 0.702, too weak to alert on.
"""

from decimal import Decimal
from typing import Any, Final

from fhir_ai.inputs import Finder, Record
from fhir_ai.inputs.cache import sees_all
from fhir_ai.inputs.units import UCUM
from fhir_ai.maternal.alerts import opened, raised
from fhir_ai.maternal.judging import Judgement, growth, judge
from fhir_ai.maternal.pregnancies import DATING, Pregnancy, gestational_age
from fhir_ai.maternal.records import Followed, followed
from fhir_ai.maternal.watch import pregnancy
from fhir_ai.operations.asked import Asked, asked
from fhir_ai.operations.computing import Computed, Left, compute
from fhir_ai.operations.making import stored, unseen
from fhir_ai.operations.risk import basis_of, left_out, record_for
from fhir_ai.operations.risk_output import NAME, assessment
from fhir_ai.scores import SCORES
from fhir_ai.scores.score import Input
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import Call, Forbidden, Outputs, PluginContext

MATERNAL: Final = ("mewc", "mewt", "uspstf_aspirin", "full_piers", "mini_piers")


async def maternal_assess(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        NotFound: there is no such patient that the caller may see.
    """
    settings: AiSettings = ctx.settings
    whom = await asked(ctx, call)
    scores = [SCORES[name] for name in MATERNAL]
    inputs = [each for score in scores for each in score.inputs]
    record = await record_for(ctx, whom, [*inputs, *(Input(code, code) for code in DATING)], settings)
    episode = await _episode(ctx, whom)
    weeks = gestational_age(record.observations, record.now)
    finder = Finder(record, {**_known(episode, weeks), **whom.given})
    outcomes = [compute(score, finder, second_hand=settings.second_hand) for score in scores]
    done = [each for each in outcomes if isinstance(each, Computed)]
    made = [assessment(ctx, whom.patient, each) for each in done]
    judgement = judge(finder) if finder.find(VOCABULARY["pregnant"]).value is True else Judgement({}, 0)
    kept = await _kept(ctx, whom, episode)
    known = list((await opened(ctx, kept)).values()) if whom.persist else []
    alerts = [] if known or not judgement.met else raised(ctx, whom.patient, judgement, kept)
    if whom.persist and (made or alerts):
        made = await stored(ctx, NAME, [*made, *(_without_id(each) for each in alerts)], basis_of(made))
        alerts = []
    names = {"Flag": "alert", "CommunicationRequest": "message"}
    shown = [*made, *(_without_id(each) for each in alerts), *known]
    values: list[tuple[str, Any]] = [(names.get(each["resourceType"], "risk"), each) for each in shown]
    left = [("not-computed", left_out(each)) for each in outcomes if isinstance(each, Left)]
    return Outputs(
        [*values, *left, *(("note", note) for note in _notes(record, weeks, judgement, kept, whole=sees_all(ctx)))]
    )


def _known(episode: Pregnancy | None, weeks: float | None) -> dict[str, Any]:
    """Return what the episode and the dating of a pregnancy say."""
    found: dict[str, Any] = {"pregnant": True} if episode else {}
    if weeks is not None:
        found["gestational_age"] = {"value": Decimal(f"{weeks:.1f}"), "unit": "wk", "system": UCUM, "code": "wk"}
    return found


async def _episode(ctx: PluginContext, whom: Asked) -> Pregnancy | None:
    try:
        return await pregnancy(ctx.client, str(whom.patient["id"]), ctx.now(), ctx.base)
    except Forbidden:  # the caller may not see EpisodesOfCare: the codes of the record have to do
        return None


async def _kept(ctx: PluginContext, whom: Asked, episode: Pregnancy | None) -> Followed:
    """Return what the feed keeps of the patient, as far as the caller may know of the episode."""
    id_ = str(whom.patient["id"])
    return (await followed(ctx, id_) if episode else None) or Followed(id_, episode.episode if episode else "")


def _without_id(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "id"}


def _notes(record: Record, weeks: float | None, judgement: Judgement, kept: Followed, *, whole: bool) -> list[str]:
    said = []
    if weeks is not None:
        said.append(f"Gestational age: {int(weeks)} weeks and {int(weeks % 1 * 7)} days, by the dating in the record.")
    if judgement.met and judgement.missing:
        said.append(f"Not measured in the last hours: {', '.join(judgement.missing)}.")
    grew = growth(kept.visits) if whole else ""  # what the feed saw of visits is for who may see all of them
    if grew:
        said.append(f"Over the visits: {grew}.")
    said += unseen(record.hidden)
    return said
