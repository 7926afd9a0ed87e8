"""Doing a plan: elements at once, resources in waves, so that all references of one level are read together.

Spec: https://hl7.org/fhir/R4/graphql.html
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from fhir_graphql.answer import Object, put
from fhir_graphql.document import Plan, Selection
from fhir_graphql.faults import Path, QueryFault, as_error
from fhir_graphql.fields import ANY, ElementField, Fields, name_of
from fhir_graphql.loading import Loader, TooMuch
from fhir_graphql.naming import Target, pairs_of, target_of
from fhir_graphql.navigation import chosen, slice_name
from fhir_server.plugin_api import PluginContext, TooCostly

Resource = dict[str, Any]
_LOOK_EACH = 1_000
"""Values after which the clock is looked at."""


@dataclass(frozen=True, slots=True)
class Focus:
    """An object of a resource: its JSON, its type, the resource that references within it are about."""

    value: Mapping[str, Any]
    type: str
    resource: Resource


@dataclass(frozen=True, slots=True)
class Place:
    """Where fields go.

    many: names hold lists, as a list above was flattened. suffix: of slices above. path: for errors.
    """

    target: Object
    many: bool = False
    suffix: str = ""
    path: Path = ()


class Execution:
    """One query."""

    def __init__(self, ctx: PluginContext, fields: Fields) -> None:
        self._ctx, self._fields, self._settings = ctx, fields, ctx.settings
        self._loader = Loader(ctx)
        self._values = 0
        self._deadline = monotonic() + ctx.settings.max_seconds
        self.errors: list[dict[str, Any]] = []

    async def run(self, plan: Plan, root: Resource | None) -> Object:
        """Do a query at the system, or on a resource.

        Raises:
            TooCostly: it goes beyond a limit.
        """
        data: Object = {}
        try:
            await asyncio.to_thread(self._begin, plan, root, Place(data))
            await self._loader.drain()
        except TooMuch as error:
            raise TooCostly(str(error), expression="http.query") from None
        return data

    def _begin(self, plan: Plan, root: Resource | None, place: Place) -> None:
        if root is not None:
            self.object(focus_of(root), plan.selections, place)
            return
        for selection in plan.selections:
            self._guarded(self._root, selection, place)

    async def inside(self, focus: Focus, selections: tuple[Selection, ...], place: Place) -> None:
        """Put the fields of a resource that is there already, and what they lead to. Raises TooCostly."""
        try:
            self.object(focus, selections, place)
            await self._loader.drain()
        except TooMuch as error:
            raise TooCostly(str(error), expression="http.query") from None

    # --- elements

    def object(self, focus: Focus, selections: tuple[Selection, ...], place: Place) -> None:
        """Put the fields of an object where they belong."""
        for selection in selections:
            if all(self._fields.fits(focus.type, on) for on in selection.on):
                self._guarded(self._field, selection, place, focus)

    def _guarded(self, do: Callable[..., None], selection: Selection, place: Place, *more: Any) -> None:
        """Do one field; what is wrong with it becomes an error and null."""
        try:
            do(selection, place, *more)
        except QueryFault as fault:
            self._failed(fault, selection, place)

    def _failed(self, fault: Exception, selection: Selection, place: Place) -> None:
        key = selection.key + place.suffix
        self.errors.append(as_error(fault, selection.node, (*place.path, key)))
        if not selection.flatten:
            place.target[key] = None

    def _field(self, selection: Selection, place: Place, focus: Focus) -> None:
        name = selection.name
        if name == "__typename":
            self._put(place, selection, name_of(focus.type))
        elif name == "resourceType" and self._fields.is_resource(focus.type):
            self._put(place, selection, focus.type)
        elif name == "resource" and focus.type == "Reference":
            self._reference(selection, place, focus)
        elif name in self._fields.of(focus.type):
            self._element(selection, place, focus, self._fields.of(focus.type)[name])
        elif self._fields.is_resource(focus.type) and (target := self._reverse(name)):
            self._search(selection, place, target, focus)
        else:
            raise QueryFault(f"{name_of(focus.type)} has no field {name}", selection.node)

    def _element(self, selection: Selection, place: Place, focus: Focus, of: ElementField) -> None:
        raw = focus.value.get(selection.name)
        values = [each for each in raw if each is not None] if isinstance(raw, list) else [] if raw is None else [raw]
        if selection.arguments:
            values = chosen(values, selection.arguments, of.type, self._fields, self._tick)
        if selection.first:
            values = values[:1]
        many = of.many and not selection.first
        if not values and not (selection.flatten or selection.slice or place.many):
            place.target.setdefault(selection.key + place.suffix, None)
        for number, value in enumerate(values):
            at = self._sliced(selection, place, number, value, of.type)
            self._one(selection, at, Focus(value, of.type, focus.resource), of, many and not selection.slice)

    def _sliced(self, selection: Selection, place: Place, number: int, value: Any, type_: str) -> Place:
        if not selection.slice:
            return place
        self._tick()
        return replace(place, suffix=place.suffix + slice_name(selection.slice, number, value, type_, self._fields))

    def _one(self, selection: Selection, place: Place, focus: Focus, of: ElementField, many: bool) -> None:
        listed = (many or place.many) and not selection.singleton
        if of.scalar:
            self._count()
            put(place.target, selection.key + place.suffix, focus.value, many=listed)
            return
        if of.type == ANY and isinstance(focus.value, dict):
            focus = Focus(focus.value, str(focus.value.get("resourceType")), focus.resource)
        self._inside(selection, place, focus, listed)

    def _inside(self, selection: Selection, place: Place, focus: Focus, listed: bool) -> None:
        """The fields of an object: in an object of their own, or one level up."""
        if selection.flatten:
            self.object(focus, selection.selections, replace(place, many=listed))
            return
        inner: Object = {}
        self._count()
        key = selection.key + place.suffix
        put(place.target, key, inner, many=listed)
        self.object(focus, selection.selections, Place(inner, path=(*place.path, key)))

    def _put(self, place: Place, selection: Selection, value: Any) -> None:
        self._count()
        listed = place.many and not selection.singleton
        put(place.target, selection.key + place.suffix, value, many=listed)

    def _tick(self) -> None:
        if monotonic() > self._deadline:
            raise TooMuch(f"the query takes longer than {self._settings.max_seconds:g} s")

    def _count(self) -> None:
        self._values += 1
        if not self._values % _LOOK_EACH:
            self._tick()
        if self._values > self._settings.max_values:
            raise TooMuch(f"the answer has more than {self._settings.max_values} values")

    # --- resources

    def _root(self, selection: Selection, place: Place) -> None:
        if selection.name == "__typename":
            place.target[selection.key] = "Query"
            return
        target = target_of(selection.name, self._fields, ("List", "Connection", ""))
        if target is None:
            raise QueryFault(f"there is no field {selection.name}", selection.node)
        if target.way:
            self._search(selection, place, target, None)
            return
        slot = self._slot(selection, place)
        self._loader.read(f"{target.type}/{selection.arguments['id']}", slot)

    def _slot(self, selection: Selection, place: Place, *, optional: bool = False) -> Callable[[Any], None]:
        """What takes a resource that has come, or what was wrong with it."""
        replaced = None
        if not selection.flatten:
            listed = place.many and not selection.singleton
            replaced = put(place.target, selection.key + place.suffix, {}, many=listed)

        def take(found: Resource | Exception | None) -> None:
            if isinstance(found, dict):
                focus = focus_of(found)
                if selection.flatten:
                    self.object(focus, selection.selections, place)
                    return
                inner: Object = {}
                assert replaced is not None
                replaced(inner)
                self.object(focus, selection.selections, Place(inner, path=(*place.path, selection.key)))
                return
            if replaced is not None:
                replaced(None)
            if found is not None and not optional:
                self.errors.append(as_error(found, selection.node, (*place.path, selection.key)))

        return take

    def _reference(self, selection: Selection, place: Place, focus: Focus) -> None:
        """Spec: https://hl7.org/fhir/R4/graphql.html#resolve"""
        wanted, optional = selection.arguments.get("type"), selection.arguments.get("optional") is True
        text = focus.value.get("reference")
        slot = self._slot(selection, place, optional=optional)
        if not isinstance(text, str):
            slot(QueryFault("the reference names no resource by its URL", selection.node, "not-found"))
            return
        if text.startswith("#"):
            contained = [each for each in focus.resource.get("contained", ()) if each.get("id") == text[1:]]
            slot(_of_type(contained[0], wanted) if contained else QueryFault(f"there is no {text} here"))
            return
        local = text.removeprefix(f"{self._ctx.base}/").partition("/_history/")[0]
        if wanted is not None and local.partition("/")[0] != wanted:
            slot(None)
            return
        self._loader.read(local, slot)

    def _reverse(self, name: str) -> Target | None:
        return target_of(name, self._fields, ("List", "Connection"))

    def _search(self, selection: Selection, place: Place, target: Target, focus: Focus | None) -> None:
        arguments = dict(selection.arguments)
        cursor = arguments.pop("_cursor", None) or arguments.pop("cursor", None)
        by = arguments.pop("_reference", None)
        criteria = pairs_of(arguments, self._ctx.core.parameters.of(target.type))
        if focus is not None:
            criteria.append((str(by).replace("_", "-"), f"{focus.type}/{focus.value.get('id')}"))
        if target.way == "Connection" and any(each.name == "count" for each in selection.selections):
            criteria.append(("_total", "accurate"))
        take = self._list(selection, place) if target.way == "List" else self._connection(selection, place)
        self._loader.search(target.type, criteria, None if cursor is None else str(cursor), take)

    def _list(self, selection: Selection, place: Place) -> Callable[[Any], None]:
        key = selection.key + place.suffix
        replaced = None if selection.flatten else put(place.target, key, [], many=False)

        def take(found: Any) -> None:
            if isinstance(found, Exception):
                self._failed(found, selection, place)
                return
            if replaced is None:
                for each in found.resources:
                    self.object(focus_of(each), selection.selections, replace(place, many=not selection.singleton))
                return
            items: list[Object] = [{} for _ in found.resources]
            replaced(items)
            for number, (each, inner) in enumerate(zip(found.resources, items, strict=True)):
                self.object(focus_of(each), selection.selections, Place(inner, path=(*place.path, key, number)))

        return take

    def _connection(self, selection: Selection, place: Place) -> Callable[[Any], None]:
        inner: Object = {}
        key = selection.key + place.suffix
        put(place.target, key, inner, many=False)

        def take(found: Any) -> None:
            if isinstance(found, Exception):
                self._failed(found, selection, place)
                return
            for each in selection.selections:
                self._of_connection(each, found, Place(inner, path=(*place.path, key)))

        return take

    def _of_connection(self, selection: Selection, found: Any, place: Place) -> None:
        if selection.name != "edges":
            place.target[selection.key] = found.fact(selection.name)
            return
        edges = place.target[selection.key] = [{} for _ in found.entries]
        for number, (edge, entry) in enumerate(zip(edges, found.entries, strict=True)):
            at = Place(edge, path=(*place.path, selection.key, number))
            for each in selection.selections:
                if each.name == "resource":
                    self._inside(each, at, focus_of(entry["resource"]), listed=False)
                elif each.name == "__typename":
                    edge[each.key] = "Edge"
                else:
                    edge[each.key] = entry.get("search", {}).get(each.name)


def focus_of(resource: Resource) -> Focus:
    """A whole resource."""
    return Focus(resource, str(resource["resourceType"]), resource)


def _of_type(resource: Resource, wanted: str | None) -> Resource | None:
    return resource if wanted in (None, resource.get("resourceType")) else None
