"""Topics: what may be subscribed to, read from SubscriptionTopic resources.

Spec: https://hl7.org/fhir/R4B/subscriptiontopic.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_server.plugin_api import (
    Compiled,
    Expression,
    FeedChange,
    FhirError,
    FhirPathError,
    PluginContext,
    Subject,
    compile_criteria,
    compile_expression,
    decode,
    holds,
    subject_of,
)
from fhir_subscriptions.wish import TOPIC, Misread, split

_DOES: Final = {"created": "create", "updated": "update", "deleted": "delete"}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One resourceTrigger; `previous` and `current` are its queryCriteria."""

    type: str
    interactions: frozenset[str]
    previous: Compiled | None
    current: Compiled | None
    both: bool
    on_create: bool
    on_delete: bool
    expression: Expression | None


@dataclass(frozen=True, slots=True)
class Topic:
    """One SubscriptionTopic: what sets it off, and by what subscribers may narrow it (none: by anything)."""

    url: str
    title: str
    triggers: tuple[Trigger, ...]
    filters: Mapping[str, frozenset[str]]
    includes: Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class Happened:
    """A change, and what is indexed of it before and after, made when it is asked for."""

    ctx: PluginContext
    change: FeedChange
    _after: Subject | None = None
    _before: Subject | None = None
    _looked: bool = False

    def after(self) -> Subject | None:
        """Return the resource as it is now; None for a deletion."""
        if self._after is None and self.change.method != "deleted":
            self._after = subject_of(self.ctx.core, self.change.row, decode(self.change.row.body.data))
        return self._after

    async def before(self) -> Subject | None:
        """Return the resource as it was; None where it was not there."""
        if not self._looked and self.change.method != "created":
            found = await self.change.before()
            if found is not None and not found.deleted:
                self._before = subject_of(self.ctx.core, found, decode(found.body.data))
        self._looked = True
        return self._before

    async def focus(self) -> Subject | None:
        """Return what filters are held against: the resource, or what was deleted."""
        return self.after() or await self.before()


def read_topic(ctx: PluginContext, resource: Mapping[str, Any]) -> Topic:
    """Read a SubscriptionTopic. Raises Misread: a trigger cannot be used."""
    triggers = tuple(_trigger(ctx, n, each) for n, each in enumerate(resource.get("resourceTrigger", ())))
    if not triggers:
        raise Misread("a topic without a resourceTrigger is never set off", "SubscriptionTopic.resourceTrigger")
    filters: dict[str, frozenset[str]] = {}
    for each in resource.get("canFilterBy", ()):
        type_ = str(each.get("resource", triggers[0].type)).rpartition("/")[2]
        filters[type_] = filters.get(type_, frozenset()) | {str(each.get("filterParameter", ""))}
    includes: dict[str, tuple[str, ...]] = {}
    for each in resource.get("notificationShape", ()):
        type_ = str(each.get("resource", "")).rpartition("/")[2]
        includes[type_] = tuple(each.get("include", ()))
    return Topic(str(resource.get("url", "")), str(resource.get("title", "")), triggers, filters, includes)


def _trigger(ctx: PluginContext, number: int, given: Mapping[str, Any]) -> Trigger:
    place = f"SubscriptionTopic.resourceTrigger[{number}]"
    type_ = str(given.get("resource", "")).rpartition("/")[2]
    query = given.get("queryCriteria", {})
    try:
        text = given.get("fhirPathCriteria")
        expression = compile_expression(str(text)) if text else None
        return Trigger(
            type=type_,
            interactions=frozenset(given.get("supportedInteraction", ())) or frozenset(("create", "update", "delete")),
            previous=_compiled(ctx, type_, query.get("previous"), f"{place}.queryCriteria.previous"),
            current=_compiled(ctx, type_, query.get("current"), f"{place}.queryCriteria.current"),
            both=bool(query.get("requireBoth", False)),
            on_create=query.get("resultForCreate") != "test-fails",
            on_delete=query.get("resultForDelete") == "test-passes",
            expression=expression,
        )
    except FhirPathError as error:
        raise Misread(str(error), f"{place}.fhirPathCriteria") from None


def _compiled(ctx: PluginContext, type_: str, text: str | None, place: str) -> Compiled | None:
    if not text:
        return None
    named, pairs = split(text if "?" in text else f"{type_}?{text}", place)
    if named != type_:
        raise Misread(f"the trigger is of {type_}, its query of {named}", place)
    try:
        return compile_criteria(ctx.core, type_, pairs)
    except FhirError as error:
        raise Misread(str(error), place) from None


async def sets_off(topic: Topic, happened: Happened) -> bool:
    """Tell whether a change sets a topic off."""
    return any([await _fires(each, happened) for each in topic.triggers if each.type == happened.change.key.type])


async def _fires(trigger: Trigger, happened: Happened) -> bool:
    if _DOES[happened.change.method] not in trigger.interactions:
        return False
    return await _queried(trigger, happened) and await _expressed(trigger, happened)


async def _queried(trigger: Trigger, happened: Happened) -> bool:
    """Spec: https://hl7.org/fhir/R4B/subscriptiontopic.html (queryCriteria)"""
    tests = []
    if trigger.previous is not None:
        before = await happened.before()
        created = happened.change.method == "created"
        tests.append(trigger.on_create if created or before is None
                     else await holds(happened.ctx.core, trigger.previous, before))  # fmt: skip
    if trigger.current is not None:
        after = happened.after()
        tests.append(trigger.on_delete if after is None else await holds(happened.ctx.core, trigger.current, after))
    if not tests:
        return True
    return all(tests) if trigger.both else any(tests)


async def _expressed(trigger: Trigger, happened: Happened) -> bool:
    if trigger.expression is None:
        return True
    before = await happened.change.before() if happened.change.method != "created" else None
    now = decode(happened.change.body) if happened.change.method != "deleted" else None
    old = decode(before.body.data) if before is not None and not before.deleted else None
    try:
        found = trigger.expression.evaluate(now or old, variables={"current": now or [], "previous": old or []})
    except FhirPathError:
        return False
    return [node.value for node in found] == [True]


async def known_topic(ctx: PluginContext, url: str) -> Topic | None:
    """Return an active topic by its canonical URL; None where there is none that can be used."""
    async for resource in ctx.own.each(TOPIC, [("url", url), ("status", "active")]):
        try:
            return replace(read_topic(ctx, resource), url=url)
        except Misread:
            return None
    return None
