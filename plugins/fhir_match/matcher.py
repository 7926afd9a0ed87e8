"""The matcher: who among the patients of the record may be the person that a Patient describes.

It is the service `patient-matcher` for other plugins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_match.blocking import Criteria, look_ups
from fhir_match.comparison import levels
from fhir_match.features import Features, features, is_replaced
from fhir_match.settings import MatchSettings
from fhir_match.weights import Contribution, Weights, probability
from fhir_server.plugin_api import BadRequest, PluginContext, ResourceKey, Version, decode

Grade = Literal["certain", "probable", "possible", "certainly-not"]
_CONFLICTS = frozenset(("given.different", "birthDate.different", "identifier.contradicts"))
_OUTWEIGHS = "identifier.same"
_NAMES = frozenset(("family", "given"))


@dataclass(frozen=True, slots=True)
class Score:
    """How likely two records are of one person, from 0 to 1, its grade, and what each field contributed."""

    value: float
    grade: Grade
    contributions: tuple[Contribution, ...]
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A patient of the record who may be the one."""

    version: Version
    score: Score

    @property
    def id(self) -> str:
        """The logical id of the patient."""
        return self.version.key.id


@dataclass(frozen=True, slots=True)
class Matches:
    """Who was found, most likely first. compared: how many were looked at. cut: look-ups that found more than one
    takes, so that somebody may be missed."""

    found: Sequence[Match] = ()
    compared: int = 0
    cut: Sequence[str] = field(default=())


class Matcher:
    """Finds patients by probability.

    Raises:
        ValueError: the settings name a level of agreement that there is not.
    """

    def __init__(self, settings: MatchSettings) -> None:
        self.settings, self._weights = settings, Weights(settings.probabilities)

    async def match(
        self, ctx: PluginContext, patient: Mapping[str, Any], *, count: int | None = None, only_certain: bool = False
    ) -> Matches:
        """Return who of those that the caller of the context may see could be this patient.

        only_certain: none, unless exactly one is certain and no other comes near.

        Raises:
            BadRequest: the patient has nothing to go by.
            Forbidden: the caller may not search for patients.
        """
        described = features(patient)
        asked = list(look_ups(patient, described))
        if not asked:
            raise BadRequest(
                "there is nothing to look a patient up by: give an identifier, telecom, or a name with a birth date, "
                "or family and given name", expression="Patient",
            )  # fmt: skip
        versions, cut = await self._candidates(ctx, asked)
        population = await self._population(ctx)
        matches = [each for version in versions if (each := self._compared(described, version, population))]
        matches.sort(key=lambda match: (-match.score.value, -_bits(match.score), match.id))
        found = _the_certain(matches) if only_certain else matches
        most = min(count or self.settings.default_answers, self.settings.answers)
        return Matches(found[:most], len(versions), cut)

    def score(self, one: Features, other: Features, population: int) -> Score:
        """Compare two patients."""
        agreements = list(levels(one, other, self.settings.unique_systems))
        contributions = tuple(self._weights.of(level) for level in agreements)
        value = probability(contributions, max(population, self.settings.least_population))
        conflict = not _CONFLICTS.isdisjoint(agreements) and _OUTWEIGHS not in agreements
        capped = conflict and value > self.settings.conflict_cap
        value = self.settings.conflict_cap if capped else value
        return Score(value, self._grade(value, agreements), contributions, capped)

    def _grade(self, value: float, agreements: Sequence[str]) -> Grade:
        """Return the grade; certain needs an identifier, or names and the very birth date, beside the score."""
        limits = self.settings
        known = {level.partition(".")[0] for level in agreements}
        enough = known >= _NAMES and "birthDate.exact" in agreements
        if value >= limits.certain and (_OUTWEIGHS in agreements or enough):
            return "certain"
        if value >= limits.probable:
            return "probable"
        return "possible" if value >= limits.possible else "certainly-not"

    def _compared(self, described: Features, version: Version, population: int) -> Match | None:
        patient = decode(version.body.data)
        if is_replaced(patient):
            return None
        score = self.score(described, features(patient), population)
        return None if score.grade == "certainly-not" else Match(version, score)

    async def _candidates(
        self, ctx: PluginContext, asked: Sequence[tuple[str, Criteria]]
    ) -> tuple[list[Version], list[str]]:
        """Return who the look-ups find, and which of them found more than they may bring."""
        found: dict[ResourceKey, Version] = {}
        cut = []
        most = self.settings.candidates
        for name, criteria in asked:
            seen = 0
            async for version in ctx.client.versions("Patient", criteria, page=most + 1):
                if seen == most:
                    cut.append(name)
                    break
                found.setdefault(version.key, version)
                seen += 1
        return list(found.values()), cut

    async def _population(self, ctx: PluginContext) -> int:
        return self.settings.population or (await ctx.core.store.statistics()).get("Patient", 0)


def _the_certain(matches: Sequence[Match]) -> list[Match]:
    """Return the only one who comes into question, if that is certain."""
    likely = [match for match in matches if match.score.grade != "possible"]
    return list(likely) if len(likely) == 1 and likely[0].score.grade == "certain" else []


def _bits(score: Score) -> float:
    return sum(each.weight for each in score.contributions)
