"""Groups: subscriptions that wait for the same events are evaluated once, and looked up by what a match must have."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_server.plugin_api import Anchor, Compiled, FhirError, PluginContext, compile_criteria, holds
from fhir_subscriptions.topics import Happened, Topic, sets_off
from fhir_subscriptions.wish import Wish


@dataclass(frozen=True, slots=True)
class Group:
    """Subscriptions of one kind: a topic with filters, or R4's own criteria."""

    id: str
    topic: str
    filters: tuple[Compiled, ...]

    @property
    def anchor(self) -> Anchor | None:
        """A value that every match has; None where there is no such one."""
        return self.filters[0].anchor if len(self.filters) == 1 else None


@dataclass(slots=True)
class _Shelf:
    """The groups that one change may concern: by anchor, and those without."""

    anchored: dict[Anchor, dict[str, Group]] = field(default_factory=lambda: defaultdict(dict))
    loose: dict[str, Group] = field(default_factory=dict)

    def put(self, group: Group) -> None:
        place = self.loose if group.anchor is None else self.anchored[group.anchor]
        place[group.id] = group

    def drop(self, group: Group) -> None:
        place = self.loose if group.anchor is None else self.anchored[group.anchor]
        place.pop(group.id, None)

    def near(self, anchors: frozenset[Anchor]) -> list[Group]:
        found = list(self.loose.values())
        if self.anchored:
            for anchor in anchors & self.anchored.keys():
                found += self.anchored[anchor].values()
        return found


class Groups:
    """All groups of a tenant, in memory."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self._groups: dict[str, Group] = {}
        self._members: dict[str, set[str]] = defaultdict(set)
        self._plain: dict[str, _Shelf] = defaultdict(_Shelf)
        self._on_topic: dict[str, _Shelf] = defaultdict(_Shelf)

    def join(self, ctx: PluginContext, wish: Wish) -> None:
        """Let a subscription wait for its events. Raises FhirError: its criteria cannot be used any more."""
        if wish.group not in self._groups:
            filters = tuple(compile_criteria(ctx.core, type_, pairs) for type_, pairs in wish.criteria)
            group = Group(wish.group, wish.topic, filters)
            self._groups[group.id] = group
            self._shelf(group).put(group)
        self._members[wish.group].add(wish.id)

    def leave(self, wish: Wish) -> None:
        """Let it wait no more."""
        members = self._members.get(wish.group, set())
        members.discard(wish.id)
        group = self._groups.get(wish.group)
        if group is not None and not members:
            self._shelf(group).drop(group)
            del self._groups[group.id]

    def _shelf(self, group: Group) -> _Shelf:
        return self._on_topic[group.topic] if group.topic else self._plain[group.filters[0].type]

    def compile_anew(self, ctx: PluginContext, wishes: Mapping[str, Wish]) -> list[str]:
        """Compile all criteria anew, for search parameters may have changed; return who cannot be served."""
        self._groups.clear()
        self._members.clear()
        self._plain.clear()
        self._on_topic.clear()
        failed = []
        for wish in wishes.values():
            try:
                self.join(ctx, wish)
            except FhirError:
                failed.append(wish.id)
        return failed

    async def concerned(self, happened: Happened) -> list[str]:
        """Return the groups that a change is an event of."""
        found: list[str] = []
        type_ = happened.change.key.type
        if type_ in self._plain and (after := happened.after()) is not None:
            near = self._plain[type_].near(after.anchors())
            found += [group.id for group in near if await holds(happened.ctx.core, group.filters[0], after)]
        for url, shelf in self._on_topic.items():
            topic = self.topics.get(url)
            if topic is not None and (shelf.loose or shelf.anchored) and await sets_off(topic, happened):
                found += await _narrowed(shelf, happened)
        return found


async def _narrowed(shelf: _Shelf, happened: Happened) -> list[str]:
    """Return the groups on a topic whose filters let a change through; a filter for another type says nothing."""
    focus = await happened.focus()
    if focus is None:
        return []
    found = []
    for group in shelf.near(focus.anchors()):
        of_type = [each for each in group.filters if each.type == focus.key.type]
        if all([await holds(happened.ctx.core, each, focus) for each in of_type]):
            found.append(group.id)
    return found
