"""Serving: which version answers for a patient, what the other one would have said, and what takes its place."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_ai.features.definitions import Views, views_of
from fhir_ai.models import Model, ModelUnavailable, NotComputed, Prediction
from fhir_ai.registry.held import Entry, loaded
from fhir_ai.registry.recorder import Role, Said, recorder_of
from fhir_ai.registry.records import Aliases
from fhir_ai.registry.registry import Registry
from fhir_ai.scores.score import Values
from fhir_server.plugin_api import NotFound, PluginContext

_DAY: Final = 86_400_000
_SLICES: Final = 10_000
_PER_CENT: Final = 100
_AGES: Final = ((18, "under 18"), (50, "18-49"), (65, "50-64"), (80, "65-79"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version said, and in which role; `model` is that version."""

    said: Prediction | NotComputed
    model: Model
    role: Role


class Serving:
    """The models that answer in a tenant at one moment. Make one for each call: `await serving_of(ctx)`."""

    def __init__(self, ctx: PluginContext, aliases: Mapping[str, Aliases], entries: Mapping[str, Entry]) -> None:
        self._ctx, self._aliases, self._champions = ctx, aliases, entries

    @property
    def views(self) -> Views | None:
        """The views of features, compiled; None where no plugin compiles views."""
        return views_of(self._ctx)

    @property
    def models(self) -> Mapping[str, Model]:
        """The champion of each name."""
        return {name: entry.model for name, entry in self._champions.items()}

    def of_kind(self, kind: str) -> list[str]:
        """Return the names of the models of a kind: `risk` or `panel`."""
        return [name for name, model in self.models.items() if model.manifest.kind == kind]

    async def ask(self, name: str, patient: str, values: Values, within: float) -> Answer:
        """Ask the version that is shown of a patient (logical id), and have the other one computed aside.

        A canary that cannot answer gives way to the champion.
        """
        aliases, champion = self._aliases[name], self._champions[name]
        other = await self._challenger(aliases)
        shown: tuple[Entry, Role] = (champion, "champion")
        if other is not None and in_canary(name, patient, aliases.canary):
            answer = await self._asked(other, "canary", values, within)
            if not _failed(answer):
                self._note(answer, patient, values)
                self._aside(champion, patient, values, within)
                return answer
        answer = await self._asked(*shown, values, within)
        self._note(answer, patient, values)
        if other is not None:
            self._aside(other, patient, values, within)
        return answer

    async def _challenger(self, aliases: Aliases) -> Entry | None:
        if not aliases.challenger or aliases.challenger in aliases.stopped:
            return None
        try:
            return await Registry(self._ctx).entry(aliases.name, aliases.challenger)
        except (NotFound, ModelUnavailable):
            return None

    async def _asked(self, entry: Entry, role: Role, values: Values, within: float) -> Answer:
        stopped = self._aliases[entry.name].stopped.get(entry.version)
        if stopped is not None:
            said = f"it is stopped: {stopped}"
            return Answer(NotComputed(entry.name, entry.version, said, "unavailable"), entry.model, role)
        try:
            model = await loaded(self._ctx, entry)
        except ModelUnavailable as error:
            return Answer(NotComputed(entry.name, entry.version, str(error), "unavailable"), entry.model, role)
        return Answer(await model.ask(values, within), model, role)

    def _aside(self, entry: Entry, patient: str, values: Values, within: float) -> None:
        """Compute a version that nobody is shown, after the answer."""

        async def work() -> None:
            self._note(await self._asked(entry, "shadow", values, within), patient, values)

        if patient:
            recorder_of(self._ctx).shadow(work)

    def _note(self, answer: Answer, patient: str, values: Values) -> None:
        """Keep what was said of a patient of the record; of who is outside of the cohort, or not asked, nothing is."""
        said, manifest = answer.said, answer.model.manifest
        stopped = manifest.version in self._aliases[manifest.name].stopped
        if not patient or stopped or (isinstance(said, NotComputed) and said.kind == "cohort"):
            return
        now = self._ctx.now()
        predicted = said if isinstance(said, Prediction) else None
        told = Said(
            model=manifest.name, version=manifest.version, at=now, patient=patient, role=answer.role,
            probability=None if predicted is None else predicted.probability,
            flagged=predicted is not None and predicted.flagged,
            kind="" if predicted is not None or isinstance(said, Prediction) else said.kind,
            values={each.name: _plain(values.get(each.name)) for each in manifest.features},
            groups=groups_of(values), due=now + int(manifest.horizon * _DAY),
        )  # fmt: skip
        recorder_of(self._ctx).note(self._ctx.tenant, told)


async def serving_of(ctx: PluginContext) -> Serving:
    """Return what serves now: read from the record at each call, so that a rollback holds in all processes at once."""
    ctx.shared.setdefault("tenants", set()).add(ctx.tenant)
    registry = Registry(ctx)
    aliases = await registry.aliases()
    champions: dict[str, Entry] = {}
    for name, each in aliases.items():
        if each.champion:
            try:
                champions[name] = await registry.entry(name, each.champion)
            except (NotFound, ModelUnavailable):
                continue
    return Serving(ctx, aliases, champions)


def in_canary(name: str, patient: str, percentage: float) -> bool:
    """Tell whether a patient is among those who are shown the challenger; always the same patients of a percentage."""
    drawn = int.from_bytes(hashlib.sha256(f"{name}|{patient}".encode()).digest()[:8], "big") % _SLICES
    return bool(patient) and drawn < percentage / _PER_CENT * _SLICES


def groups_of(values: Values) -> dict[str, str]:
    """Return the groups that gaps are looked for between."""
    found = {"sex": str(values["sex"])} if "sex" in values else {}
    age = values.get("age")
    if isinstance(age, int | float) and not isinstance(age, bool):
        found["age"] = next((label for limit, label in _AGES if age < limit), "80 and over")
    return found


def _failed(answer: Answer) -> bool:
    return isinstance(answer.said, NotComputed) and answer.said.kind == "unavailable"


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool) else None
