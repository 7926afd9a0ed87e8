"""Store: the rows of the views, kept by the feed with the time from which the record had them, and until when.

Point in time: at an instant only what the record held by then counts, whatever was corrected, deleted or written later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_ai.features.definitions import definitions, views_of
from fhir_ai.features.rows import Row, record_of
from fhir_ai.inputs import Finder, Record
from fhir_ai.models import Model
from fhir_ai.scores.score import Values
from fhir_server.plugin_api import (
    Collection,
    Consumer,
    FeedChange,
    PluginContext,
    RecordChange,
    RecordField,
    Where,
    decode,
)  # fmt: skip

ROWS: Final = Collection(
    "fhir_ai.features",
    (RecordField("patient"), RecordField("since", "integer"), RecordField("until", "integer")),
    patient="patient",
)
_EVER: Final = 2**53
_PAGE: Final = 1_000
_WHERE: Final = {each["resource"] for each in definitions()}


@dataclass(frozen=True, slots=True)
class Moment:
    """A patient (logical id) at an instant, in milliseconds; given: what is known of them beside the record."""

    patient: str
    at: int
    given: Mapping[str, Any]


def consumers(*, on: bool) -> list[Consumer]:
    """Return the reader of the feed that keeps the rows, where that is wanted."""
    return [Consumer("features", materialize, types=tuple(sorted(_WHERE)), start="beginning", batch=200)] if on else []


async def materialize(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Keep the rows of new versions, and end those of the versions before; the same change twice is the same."""
    views = views_of(ctx)
    if views is None:
        return
    puts: dict[str, dict[str, Any]] = {}
    for change in changes:
        before = f"{change.key}/{change.version - 1}"
        earlier = puts.get(before)
        if earlier is None:
            found = await ctx.store.get(ROWS.name, before)
            earlier = dict(found.value) if found is not None else None
        if earlier is not None:
            puts[before] = {**earlier, "until": change.last_updated}
        if change.body:
            rows = views[change.key.type].objects(decode(change.body))
            patient = change.key.id if change.key.type == "Patient" else next((row["patient"] for row in rows), None)
            if rows and patient:
                puts[f"{change.key}/{change.version}"] = _kept(change, str(patient), rows)
    await ctx.store.put(*(RecordChange(ROWS.name, key, value) for key, value in puts.items()))


async def as_of(ctx: PluginContext, patient: str, at: int) -> Record:
    """Return the record of a patient as the server had it at an instant, as far as the views show it."""
    where = [Where("patient", "=", patient), Where("since", "<=", at), Where("until", ">", at)]
    rows: dict[str, list[Row]] = {}
    after: str | None = None
    while True:
        page = await ctx.store.find(ROWS.name, where, after=after, limit=_PAGE)
        for record in page:
            value: Any = record.value
            rows.setdefault(value["type"], []).extend(value["rows"])
        if len(page) < _PAGE:
            return record_of(rows, at)
        after = page[-1].key


async def vectors(ctx: PluginContext, model: Model, moments: Sequence[Moment]) -> list[Values]:
    """Return the values of a model's inputs at past instants, found as at inference: the rows to train on."""
    from fhir_ai.operations.predicting import model_values

    found = []
    for moment in moments:
        finder = Finder(await as_of(ctx, moment.patient, moment.at), moment.given)
        found.append(model_values(model, finder)[1])
    return found


def _kept(change: FeedChange, patient: str, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "type": change.key.type, "patient": patient, "since": change.last_updated, "until": _EVER,
        "rows": [dict(row) for row in rows],
    }  # fmt: skip
