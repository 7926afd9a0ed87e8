"""Overrides: what users did with cards, for who watches how good they are."""

from dataclasses import dataclass

from fhir_ai.cds.feedback import OVERRIDES
from fhir_server.plugin_api import PluginContext, Record, Where

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Override:
    """One answer. name, version: of the row of the card. output: the GuidanceResponse that it is about; empty where the
    patient is of another record. reason: code of why it was overridden. at: milliseconds since 1970."""

    card: str
    name: str
    version: str
    service: str
    accepted: bool
    reason: str
    at: int
    output: str
    task: str


async def overrides(ctx: PluginContext, *, since: int = 0, name: str = "") -> list[Override]:
    """Return the answers since a time, of one row or of all, by card."""
    asked = [Where("at", ">=", since), *([Where("name", "=", name)] if name else [])]
    found: list[Override] = []
    after: str | None = None
    while True:
        page = await ctx.store.find(OVERRIDES.name, asked, after=after, limit=_PAGE)
        found += [_override(each) for each in page]
        if len(page) < _PAGE:
            return found
        after = page[-1].key


async def accepted_share(ctx: PluginContext, *, since: int = 0, name: str = "") -> tuple[float | None, int]:
    """Return the share of answers that accepted, and the number of answers; None where there are none."""
    found = await overrides(ctx, since=since, name=name)
    return (sum(each.accepted for each in found) / len(found) if found else None), len(found)


def _override(record: Record) -> Override:
    value = {key: str(each) for key, each in record.value.items()}
    return Override(
        record.key, value["name"], value["version"], value["service"], value["outcome"] == "accepted",
        value["reason"], int(value["at"]), value["output"], value["task"],
    )  # fmt: skip
