"""`Patient/$diagnose-support`: what findings speak for, ranked, red flags first. Support, not a diagnosis."""

from collections.abc import Iterator
from typing import Any, Final

from fhir_ai.findings.diagnose_output import NAME, SAID, answered, basis, resources
from fhir_ai.findings.gathering import Facts, gather
from fhir_ai.findings.table import Measure, measures, rules, signs
from fhir_ai.findings.weighing import changes, ranked
from fhir_ai.operations.asked import asked
from fhir_ai.operations.making import stored
from fhir_ai.scores.red_flags import Findings, RedFlag, red_flags
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import Call, Outputs, PluginContext

_COUNT: Final = 10
_AMISS: Final = ("stale", "implausible", "unit", "contradictory")
_VITALS: Final = ("respiratory_rate", "spo2", "systolic", "diastolic", "heart_rate", "temperature")


async def diagnose_support(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        NotFound: there is no such patient that the caller may see.
        BadRequest, BadValue: what came cannot be read, or contradicts itself.
    """
    settings: AiSettings = ctx.settings
    whom = await asked(ctx, call, frozenset(measures()), signs())
    facts = await gather(ctx, whom, settings)
    flags = flags_of(facts)
    candidates = ranked(rules().conditions, facts)
    would = changes(candidates)
    shown = candidates[: int(call.inputs.one("count", _COUNT))]
    made = resources(ctx, whom.patient, flags, (candidates, shown), would)
    if whom.persist:
        made = await stored(ctx, NAME, made, basis(shown))
    values: list[tuple[str, Any]] = [("disclaimer", SAID)]
    values += [("red-flag", _flag(each)) for each in flags]
    values += [("guidance", made[0]), *(("risk", each) for each in made[1:])]
    values += answered(shown, would)
    asked_for = {part.measure for each in candidates for part in each.parts() if isinstance(part, Measure)}
    values += [("unusable", each) for each in _unusable(facts, asked_for)]
    left = len(candidates) - len(shown)
    return Outputs([*values, *(("note", text) for text in _notes(facts, left))])


def flags_of(facts: Facts) -> tuple[RedFlag, ...]:
    """Return the red flags of what is known; nothing that speaks against a condition lowers one."""
    find = facts.finder.find
    age = find(VOCABULARY["age"]).value
    vitals = {name: find(VOCABULARY[name]).value for name in _VITALS}
    present = frozenset(key for key, sign in facts.signs.items() if sign.present)
    return red_flags(
        Findings(
            age_years=age if isinstance(age, int | float) else None,
            pregnant=find(VOCABULARY["pregnant"]).value is True,
            sex=str(facts.record.patient.get("gender", "")),
            codes=facts.codes,
            keys=present,
            vitals={name: float(value) for name, value in vitals.items() if isinstance(value, int | float)},
        )
    )


def _flag(flag: RedFlag) -> list[tuple[str, Any]]:
    return [("name", flag.name), ("acuity", flag.acuity), ("because", flag.because), ("source", flag.source)]


def _unusable(facts: Facts, asked_for: set[str]) -> Iterator[list[tuple[str, Any]]]:
    """Yield what is recorded and of no use; what is only old, where a candidate asks for it."""
    for wanted in measures().values():
        found = facts.finder.find(wanted)
        if found.state in _AMISS and (found.state != "stale" or found.name in asked_for):
            parts = (found.name, found.title, found.state, found.because)
            yield list(zip(("name", "title", "state", "because"), parts, strict=True))
    for key in facts.muddled:
        said = "recorded at the same time as there and as not there"
        yield [("name", key), ("title", signs()[key].title), ("state", "contradictory"), ("because", said)]


def _notes(facts: Facts, left: int) -> Iterator[str]:
    if left:
        yield f"{left} more conditions were considered and are ranked lower; ask for a higher count."
    if facts.record.cut:
        yield "There are more observations than one call looks at; the older ones were left out."
    if facts.record.hidden:
        yield f"You may not see {', '.join(sorted(facts.record.hidden))} of this patient: what they tell is not known."
    if facts.record.patient.get("deceasedBoolean") or facts.record.patient.get("deceasedDateTime"):
        yield "The Patient is recorded as deceased: check that this is the right person."
    if not isinstance(facts.finder.find(VOCABULARY["age"]).value, int | float):
        yield "Without an age conditions of all ages are considered."
