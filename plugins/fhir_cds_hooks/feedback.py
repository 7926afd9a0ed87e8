"""Feedback: what users did with cards, kept as records.

Spec: https://cds-hooks.hl7.org/2.0/#feedback
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from fhir_server.plugin_api import (
    BadRequest,
    Collection,
    InvalidResource,
    Issue,
    PluginContext,
    RecordChange,
    RecordField,
)

FEEDBACK: Final = Collection(
    "fhir_cds_hooks.feedback",
    (RecordField("service"), RecordField("card"), RecordField("outcome"), RecordField("at", "integer")),
)
_OUTCOMES: Final = ("accepted", "overridden")


def read(body: Any, most: int) -> Sequence[Mapping[str, Any]]:
    """Return the items of a feedback.

    Raises:
        BadRequest: it is no list of items, or too long a one.
        InvalidResource: items have not the form of the specification; all faults at once.
    """
    items = body.get("feedback") if isinstance(body, Mapping) else None
    if not isinstance(items, list) or not items:
        raise BadRequest('send {"feedback": [...]} with at least one item', expression="feedback")
    if len(items) > most:
        raise BadRequest(f"send at most {most} items at once", expression="feedback")
    issues = [
        Issue(said, "invalid", expression=(f"feedback[{number}]",))
        for number, item in enumerate(items)
        for said in _faults(item)
    ]
    if issues:
        raise InvalidResource(issues[0].diagnostics, issues=issues)
    return items


async def keep(ctx: PluginContext, service: str, issuer: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Write the items as records."""
    changes = [
        RecordChange(
            FEEDBACK.name, ctx.new_id(),
            {"service": service, "card": item["card"], "outcome": item["outcome"], "at": ctx.now(), "issuer": issuer,
             "item": dict(item)},
            expected=0,
        )
        for item in items
    ]  # fmt: skip
    await ctx.store.put(*changes)


def _faults(item: Any) -> list[str]:
    if not isinstance(item, Mapping):
        return ["an item is an object"]
    wrong = [] if _is_uuid(item.get("card")) else ["card has to be the uuid of a card"]
    if item.get("outcome") not in _OUTCOMES:
        wrong.append(f"outcome has to be one of {', '.join(_OUTCOMES)}")
    if not isinstance(item.get("outcomeTimestamp"), str):
        wrong.append("outcomeTimestamp is needed: when the user acted, as 2026-01-31T12:00:00Z")
    accepted = item.get("acceptedSuggestions")
    if item.get("outcome") == "accepted" and not (isinstance(accepted, list) and all(map(_is_accepted, accepted))):
        wrong.append("acceptedSuggestions has to list the ids of the suggestions that were accepted")
    return wrong


def _is_accepted(suggestion: Any) -> bool:
    return isinstance(suggestion, Mapping) and isinstance(suggestion.get("id"), str)


def _is_uuid(text: Any) -> bool:
    try:
        return isinstance(text, str) and bool(UUID(text))
    except ValueError:
        return False
