"""Watch: the consumer that follows pregnancies: new measurements, diagnoses and episodes, each patient judged anew."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from fhir_ai.inputs import Finder
from fhir_ai.inputs.record import Wanted, read
from fhir_ai.maternal.alerts import closed, opened, raised, revised, store
from fhir_ai.maternal.judging import ALERTING, Judgement, judge, visit
from fhir_ai.maternal.pregnancies import DATING, Pregnancy, gestational_age, pregnancy_of
from fhir_ai.maternal.records import PREGNANCIES, Followed, followed
from fhir_ai.operations.computing import Computed, compute
from fhir_ai.operations.making import references
from fhir_ai.scores import SCORES
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import (
    Client,
    Consumer,
    FeedChange,
    PluginContext,
    PreconditionFailed,
    RecordChange,
    RecordChanged,
    Resource,
)

_TYPES: Final = ("Condition", "EpisodeOfCare", "Observation")
_SUBJECT: Final = re.compile(rb'"(?:subject|patient)":\{[^{}]*?"reference":"(?:[^"]*/)?Patient/([A-Za-z0-9.\-]{1,64})')
_NAMES: Final = tuple(
    dict.fromkeys(
        each.name for name in (*(name for name, _ in ALERTING), "uspstf_aspirin") for each in SCORES[name].inputs
    )
)
_YEAR: Final = 366 * 24.0
_TRIES: Final = 5


def consumers(settings: AiSettings) -> list[Consumer]:
    """Return the consumer; none where it is switched off."""
    return (
        [Consumer("pregnancies", follow, types=_TYPES, start="beginning", batch=100)] if settings.maternal_feed else []
    )


async def follow(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Judge the patients anew whom changes are about."""
    patients: dict[str, None] = {}
    for change in changes:
        previous = await change.previous() if change.method != "created" else None
        for body in (change.row.body.data, previous or b""):
            met = _SUBJECT.search(body)
            if met is not None:
                id_ = met[1].decode()
                if change.key.type == "EpisodeOfCare" or await ctx.store.get(PREGNANCIES.name, id_) is not None:
                    patients[id_] = None
    for id_ in patients:
        await reconsider(ctx, id_)


async def reconsider(ctx: PluginContext, id_: str) -> None:
    """Judge one patient, and open, change or close the alert."""
    for _ in range(_TRIES):
        try:
            await _reconsider(ctx, id_)
            return
        except (RecordChanged, PreconditionFailed):  # somebody else has written meanwhile: look again
            continue
    await _reconsider(ctx, id_)


async def pregnancy(client: Client, id_: str, now: int, base: str = "") -> Pregnancy | None:
    """Return the pregnancy of a patient that goes on."""
    found = None
    async for episode in client.each("EpisodeOfCare", [("patient", f"Patient/{id_}"), ("_sort", "-date")]):
        each = pregnancy_of(episode, now, base)
        if each is not None and each.open:
            found = found or each
    return found


async def _reconsider(ctx: PluginContext, id_: str) -> None:
    kept = await followed(ctx, id_)
    patient = await ctx.client.find("Patient", id_)
    found = await pregnancy(ctx.client, id_, ctx.now(), ctx.base) if patient is not None else None
    if patient is None or found is None:
        if kept is not None:
            await _end(ctx, kept)
        return
    kept = kept or Followed(id_, found.episode)
    if kept.episode != found.episode:
        await _end(ctx, kept)
        kept = Followed(id_, found.episode)
    judgement, seen = await assess(ctx, patient, kept)
    await _alert(ctx, patient, judgement, seen)


async def _end(ctx: PluginContext, kept: Followed) -> None:
    """Close what is open, and follow no longer."""
    made = [await _standing(ctx, each) for each in closed(ctx, await opened(ctx, kept), ended=True)]
    gone = RecordChange(PREGNANCIES.name, kept.patient, None, expected=kept.revision)
    await store(ctx, made, [], gone)


async def _standing(ctx: PluginContext, resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource without references to what is gone: it could not be written with them."""
    known = [each for each in resource.get("about", ()) if await _is_there(ctx, str(each.get("reference", "")))]
    rest = {name: value for name, value in resource.items() if name != "about"}
    return {**rest, "about": known} if known else rest


async def _is_there(ctx: PluginContext, reference: str) -> bool:
    type_, _, id_ = reference.partition("/")
    return await ctx.client.find(type_, id_) is not None


async def assess(ctx: PluginContext, patient: Resource, kept: Followed) -> tuple[Judgement, Followed]:
    """Judge a patient by what is recorded; return that, and what is kept with this visit in it."""
    settings: AiSettings = ctx.settings
    now = ctx.now()
    wanted = Wanted((*_NAMES, *sorted(DATING)), _YEAR, settings.most_observations, medicines=False)
    record = (await read(ctx.client, kept.patient, now, wanted)).record(patient, now, wanted.since(now))
    weeks = gestational_age(record.observations, now)
    finder = Finder(record, {"pregnant": True})
    judgement = judge(finder)
    risk = compute(SCORES["uspstf_aspirin"], finder, second_hand=False)
    seen = visit(judgement, weeks, risk.result.band if isinstance(risk, Computed) else "")
    visits = [each for each in kept.visits if each["at"] != judgement.at]
    return judgement, replace(kept, visits=[*visits, seen] if judgement.at else kept.visits)


async def _alert(ctx: PluginContext, patient: Resource, judgement: Judgement, kept: Followed) -> None:
    """Open, change or close the alert. One that people closed is not opened again for what it was about."""
    open_ = await opened(ctx, kept)
    made: list[dict[str, Any]] = []
    if judgement.met and not open_ and set(judgement.met) - set(kept.met):
        made = raised(ctx, patient, judgement, kept)
        kept = replace(kept, alerts=kept.alerts + 1, flag=made[0]["id"], message=made[1]["id"], met=dict(judgement.met))
    elif judgement.met and open_ and dict(judgement.met) != kept.met:
        made = revised(ctx, open_, judgement, kept)
        kept = replace(kept, met=dict(judgement.met))
    elif kept.met and judgement.settles(kept.met):
        made = closed(ctx, open_, ended=False)
        kept = replace(kept, flag="", message="", met={})
    made = [await _standing(ctx, each) for each in made]
    await store(ctx, made, references([*judgement.references, kept.episode]), kept.change())
