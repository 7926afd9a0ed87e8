"""Gathering: what is known of a patient now: signs that are there or were found absent, measures, scores."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from fhir_ai.findings.table import Criterion, Evidence, ScoreIs, measures, parts, rules, signs
from fhir_ai.inputs import Finder, Record
from fhir_ai.inputs.cache import cached, with_given
from fhir_ai.inputs.diagnoses import active, begun, codings, stands
from fhir_ai.inputs.record import Wanted
from fhir_ai.inputs.tables import ICD10, INPUTS, SNOMED
from fhir_ai.inputs.times import hours_before, millis
from fhir_ai.operations.asked import Asked
from fhir_ai.operations.computing import Computed, Left, compute
from fhir_ai.scores import SCORES
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import BadValue, Client, Forbidden, PluginContext

_YES: Final = frozenset(("52101004", "373066001", "LA33-6", "LA9633-4", "true", "POS"))
_NO: Final = frozenset(("2667000", "373067005", "LA32-8", "LA9634-2", "false", "NEG"))
_USABLE: Final = frozenset(("final", "amended", "corrected", "preliminary"))
_MOST_SIGNS: Final = 500
_DEPTH: Final = 8
"""Instants of each measure that are compared, the newest first."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What is known of a sign: whether it is there, who says so (a reference; empty: the call), and when."""

    present: bool
    reference: str = ""
    at: int = 0


@dataclass(slots=True)
class Facts:
    """What is known of somebody. codes: `system|code` of symptoms, for red flags. muddled: signs said to be both."""

    record: Record
    finder: Finder
    signs: Mapping[str, Sign]
    codes: frozenset[str]
    muddled: tuple[str, ...] = ()
    _scores: dict[str, Computed | Left] = field(default_factory=dict)

    def score(self, name: str) -> Computed | Left:
        """Return a published score, computed once."""
        if name not in self._scores:
            self._scores[name] = compute(SCORES[name], self.finder, second_hand=False)
        return self._scores[name]


async def gather(ctx: PluginContext, whom: Asked, settings: AiSettings) -> Facts:
    """Read what is known: what the call says goes before the record.

    Raises:
        BadValue: the call says of a sign that it is there and that it is not.
    """
    subject = f"Patient/{whom.patient['id']}"
    longest = max(each.window for each in measures().values())
    wanted = Wanted(names(), longest, settings.most_observations, depth=_DEPTH)
    read, (seen, hidden) = await asyncio.gather(
        cached(ctx).record(ctx, whom.patient, wanted),
        _sign_observations(ctx.client, subject, ctx.now(), settings.finding_hours),
    )
    record = with_given(replace(read, hidden=read.hidden | hidden), came=whom.came)
    return facts_of(record, [*whom.of_type("Observation"), *seen], whom, settings)


def facts_of(record: Record, seen: Iterable[Mapping[str, Any]], whom: Asked, settings: AiSettings) -> Facts:
    """Return the facts of a record that was read; `seen` are Observations of signs."""
    said = list(_recorded(record, seen, settings.finding_hours))
    found, muddled = _newest(said)
    stated = _stated(whom)
    kept = {key: sign for key, sign in found.items() if key not in muddled} | stated
    codes = {each for each in whom.symptoms if "|" in each}
    codes.update(_active_codes(record, settings.finding_hours))
    return Facts(record, Finder(record, whom.given), kept, frozenset(codes), tuple(sorted(muddled - set(stated))))


def names() -> tuple[str, ...]:
    """Return the names of all that is looked for in the record: measures, and inputs of the scores of rules."""
    rows: list[Evidence | Criterion] = []
    for condition in rules().conditions:
        rows += [*condition.evidence, *condition.criteria]
    asked = [each.if_ for each in rows]
    asked += [each.asks for each in rules().conditions]
    scores = {part.score for each in asked for part in parts(each) if isinstance(part, ScoreIs)}
    inputs = (each.name for name in sorted(scores) for each in SCORES[name].inputs)
    return tuple(dict.fromkeys((*measures(), "pregnant", *inputs)))


def keys_of(system: str, code: str) -> Iterator[str]:
    """Yield the keys of signs that a code stands for."""
    for sign in signs().values():
        if system == SNOMED:
            same = code in sign.snomed
        elif system in ICD10:
            same = bool(sign.icd10) and code.startswith(sign.icd10)
        else:
            same = system == INPUTS and code == sign.key
        if same:
            yield sign.key


async def _sign_observations(
    client: Client, subject: str, now: int, hours: float
) -> tuple[list[Mapping[str, Any]], frozenset[str]]:
    """Read the Observations of signs; they have codes of their own, which those of measures have not."""
    tokens = [f"{SNOMED}|{code}" for sign in signs().values() for code in sign.snomed]
    tokens += [f"{INPUTS}|{key}" for key in signs()]
    since = datetime.fromtimestamp(now / 1000 - hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = [("patient", subject), ("code", ",".join(tokens)), ("date", f"ge{since}"), ("_sort", "-date")]
    found: list[Mapping[str, Any]] = []
    try:
        async for each in client.each("Observation", asked):
            found.append(each)
            if len(found) == _MOST_SIGNS:
                break
    except Forbidden:
        return [], frozenset(("Observation",))
    return found, frozenset()


def _recorded(record: Record, seen: Iterable[Mapping[str, Any]], hours: float) -> Iterator[tuple[str, Sign]]:
    for each in seen:
        at = millis(each.get("effectiveDateTime") or each.get("effectiveInstant"))
        answer = _answer(each)
        if at is None or answer is None or each.get("status") not in _USABLE or hours_before(record.now, at) > hours:
            continue
        for system, code in codings(each.get("code", {})):
            for key in keys_of(system, code):
                yield key, Sign(answer, _reference(each), at)
    for condition in record.conditions:
        at = begun(condition)
        if at is not None and hours_before(record.now, at) > hours:
            continue
        there = _there(condition)
        for system, code in codings(condition.get("code", {})) if there is not None else ():
            for key in keys_of(system, code):
                yield key, Sign(there is True, _reference(condition), at or 0)


def _there(condition: Mapping[str, Any]) -> bool | None:
    """Tell whether a Condition says that something is there, was refuted, or says nothing of now."""
    status = {code for _, code in codings(condition.get("verificationStatus", {}))}
    if "refuted" in status:
        return False
    return True if stands(condition) and active(condition) else None


def _answer(observation: Mapping[str, Any]) -> bool | None:
    if "valueBoolean" in observation:
        return bool(observation["valueBoolean"])
    answers = {code for _, code in codings(observation.get("valueCodeableConcept", {}))}
    answers |= {code for each in observation.get("interpretation", ()) for _, code in codings(each)}
    if answers & _NO:
        return False
    return True if answers & _YES else None


def _newest(said: Iterable[tuple[str, Sign]]) -> tuple[dict[str, Sign], set[str]]:
    """Return the newest word on each sign, and those of which both was said at the same time."""
    found: dict[str, Sign] = {}
    muddled: set[str] = set()
    for key, sign in sorted(said, key=lambda each: each[1].at):
        before = found.get(key)
        if before is not None and before.at == sign.at and before.present != sign.present:
            muddled.add(key)
        elif before is not None and before.at < sign.at:
            muddled.discard(key)
        found[key] = sign
    return found, muddled


def _stated(whom: Asked) -> dict[str, Sign]:
    there, gone = _keys(whom.symptoms), _keys(whom.absent)
    both = sorted(there & gone)
    if both:
        raise BadValue(f"{both[0]} is given as there and as absent", expression="absent")
    return {key: Sign(present=True) for key in there} | {key: Sign(present=False) for key in gone}


def _keys(said: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for each in said:
        system, bar, code = each.rpartition("|")
        found.update(keys_of(system, code) if bar else (each,))
    return found


def _active_codes(record: Record, hours: float) -> Iterator[str]:
    for condition in record.conditions:
        at = begun(condition)
        if _there(condition) and (at is None or hours_before(record.now, at) <= hours):
            for system, code in codings(condition.get("code", {})):
                yield f"{system}|{code}"


def _reference(resource: Mapping[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}" if resource.get("id") else ""
