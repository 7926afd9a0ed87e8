"""Cards: what a service answers, held to the specification before it goes out.

Spec: https://cds-hooks.hl7.org/2.0/#cds-service-response
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

_INDICATORS: Final = ("info", "warning", "critical")
_BEHAVIORS: Final = ("at-most-one", "any")
_ACTIONS: Final = ("create", "update", "delete")
_SUMMARY: Final = 140
_KNOWN: Final = frozenset((
    "uuid", "summary", "detail", "indicator", "source", "suggestions", "selectionBehavior", "overrideReasons", "links",
    "extension",
))  # fmt: skip

Json = Mapping[str, Any]


def answer(given: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the answer of a service as it goes out, each card with a uuid, and all that is wrong with it."""
    body = {"cards": given} if isinstance(given, Sequence) and not isinstance(given, str | bytes) else given
    if not isinstance(body, Mapping) or not isinstance(body.get("cards"), Sequence):
        return {}, ["the answer has to be a list of cards, or an object with `cards`"]
    wrong = [f"the answer has no member {name}" for name in body if name not in ("cards", "systemActions", "extension")]
    cards = []
    for number, card in enumerate(body["cards"]):
        place = f"cards[{number}]"
        if not isinstance(card, Mapping):
            wrong.append(f"{place} is no object")
            continue
        wrong += [f"{place}: {said}" for said in _card(card)]
        cards.append({"uuid": str(uuid4()), **card})
    for number, action in enumerate(body.get("systemActions") or ()):
        wrong += [f"systemActions[{number}]: {said}" for said in _action(action)]
    return {**body, "cards": cards}, wrong


def _card(card: Json) -> Iterator[str]:
    yield from (f"there is no member {name}" for name in card if name not in _KNOWN)
    summary = card.get("summary")
    if not isinstance(summary, str) or not 0 < len(summary) < _SUMMARY:
        yield f"summary has to be a text of less than {_SUMMARY} characters"
    if card.get("indicator") not in _INDICATORS:
        yield f"indicator has to be one of {', '.join(_INDICATORS)}"
    if not isinstance(card.get("detail", ""), str):
        yield "detail has to be a text"
    yield from _source(card.get("source"))
    suggestions = _list(card, "suggestions")
    if suggestions and card.get("selectionBehavior") not in _BEHAVIORS:
        yield f"selectionBehavior has to be one of {', '.join(_BEHAVIORS)} where there are suggestions"
    for number, suggestion in enumerate(suggestions):
        yield from (f"suggestions[{number}]: {said}" for said in _suggestion(suggestion))
    for number, link in enumerate(_list(card, "links")):
        yield from (f"links[{number}]: {said}" for said in _link(link))
    for number, reason in enumerate(_list(card, "overrideReasons")):
        if not isinstance(reason, Mapping) or not reason.get("code") or not reason.get("display"):
            yield f"overrideReasons[{number}] needs code and display"


def _source(source: Any) -> Iterator[str]:
    if not isinstance(source, Mapping) or not isinstance(source.get("label"), str) or not source["label"]:
        yield "source needs a label"
        return
    yield from (f"source.{name} has to be an absolute URL" for name in ("url", "icon") if not _is_url(source, name))


def _suggestion(suggestion: Any) -> Iterator[str]:
    if not isinstance(suggestion, Mapping) or not isinstance(suggestion.get("label"), str):
        yield "it needs a label"
        return
    for number, action in enumerate(_list(suggestion, "actions")):
        yield from (f"actions[{number}]: {said}" for said in _action(action))


def _action(action: Any) -> Iterator[str]:
    if not isinstance(action, Mapping) or action.get("type") not in _ACTIONS:
        yield f"type has to be one of {', '.join(_ACTIONS)}"
        return
    if action["type"] == "delete":
        if not isinstance(action.get("resourceId"), str):
            yield "a delete needs a resourceId, as `ServiceRequest/1`"
    elif not isinstance(action.get("resource"), Mapping) or "resourceType" not in action["resource"]:
        yield f"{action['type']} needs a resource"


def _link(link: Any) -> Iterator[str]:
    if not isinstance(link, Mapping) or not isinstance(link.get("label"), str):
        yield "it needs a label"
        return
    if link.get("type") not in ("absolute", "smart"):
        yield "type has to be absolute or smart"
    if not link.get("url") or not _is_url(link, "url"):
        yield "url has to be an absolute URL"
    if "appContext" in link and link.get("type") != "smart":
        yield "appContext is for links of type smart"


def _list(holder: Json, name: str) -> Sequence[Any]:
    value = holder.get(name)
    return value if isinstance(value, list | tuple) else []


def _is_url(holder: Json, name: str) -> bool:
    if name not in holder:
        return True
    value = holder[name]
    try:
        return isinstance(value, str) and urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).netloc)
    except ValueError:
        return False
