"""What is wrong with a query is found before any of it is done: fields, arguments and selections that cannot be.

Below a reference whose type is not known only fragments say what is there; fields are then looked at while they are
done.
"""

from collections.abc import Mapping
from typing import Any

from fhir_graphql.document import Selection
from fhir_graphql.faults import QueryFault, as_error
from fhir_graphql.fields import ANY, Fields, name_of
from fhir_graphql.naming import target_of
from fhir_graphql.navigation import check_arguments
from fhir_server.plugin_api import PluginContext

_CONNECTION = frozenset({"count", "offset", "pagesize", "first", "previous", "next", "last", "__typename"})
_EDGE = frozenset({"mode", "score", "__typename"})
_PAGING = frozenset({"_cursor", "cursor", "_reference"})


class Checker:
    """Gathers the errors of one query."""

    def __init__(self, ctx: PluginContext, fields: Fields) -> None:
        self._ctx, self._fields = ctx, fields
        self.errors: list[dict[str, Any]] = []

    def _wrong(self, message: str, selection: Selection) -> None:
        self.errors.append(as_error(QueryFault(message), selection.node))

    def query(self, selections: tuple[Selection, ...]) -> None:
        """Look at the fields of a query at the system."""
        for selection in selections:
            target = target_of(selection.name, self._fields, ("List", "Connection", ""))
            if selection.name == "__typename":
                continue
            if target is None:
                self._wrong(f"Query has no field {selection.name}", selection)
            elif target.way:
                self._search(selection, target.type, target.way, reverse=False)
            else:
                self._read(selection, target.type)

    def _read(self, selection: Selection, type_: str) -> None:
        if set(selection.arguments) != {"id"} or not isinstance(selection.arguments["id"], str | int):
            self._wrong(f"{selection.name} takes id: {type_}(id: ...)", selection)
        self.object(selection.selections, type_, selection)

    def mutation(self, selections: tuple[Selection, ...]) -> None:
        """Look at the fields of a mutation."""
        for selection in selections:
            target = target_of(selection.name, self._fields, ("Create", "Update", "Delete"))
            if selection.name == "__typename":
                continue
            if target is None:
                self._wrong(f"Mutation has no field {selection.name}", selection)
                continue
            self._changing(selection, target.way)
            for each in selection.selections:
                if each.name == "resource" and target.way != "Delete":
                    self.object(each.selections, target.type, each)
                elif each.name == "information":
                    self.object(each.selections, "OperationOutcome", each)
                elif each.name not in ("location", "__typename"):
                    self._wrong(f"{selection.name} gives no {each.name}", each)

    def _changing(self, selection: Selection, way: str) -> None:
        needed = {"Create": {"res"}, "Update": {"id", "res"}, "Delete": {"id"}}[way]
        given = set(selection.arguments)
        if not needed <= given or not given <= needed | ({"id"} if way == "Create" else set()):
            self._wrong(f"{selection.name} takes {', '.join(sorted(needed))}", selection)
        elif "res" in needed and not isinstance(selection.arguments["res"], dict):
            self._wrong("res is a resource", selection)

    def object(self, selections: tuple[Selection, ...], type_: str, owner: Selection) -> None:
        """Look at the fields of an object of a type."""
        if not selections:
            self._wrong(f"say which fields of {owner.name} are wanted: {owner.name} {{ ... }}", owner)
        for selection in selections:
            self._field(selection, self._narrowed(type_, selection))

    def _narrowed(self, type_: str, selection: Selection) -> str:
        """The type that fragments say it is."""
        for on in selection.on:
            if on not in self._fields.facts.types and not any(name_of(each) == on for each in self._nested(type_)):
                self._wrong(f"there is no type {on}", selection)
            elif self._fields.fits(on, type_):
                type_ = on
        return type_

    def _nested(self, type_: str) -> list[str]:
        return [type_] if "." in type_ else []

    def _field(self, selection: Selection, type_: str) -> None:
        name, known = selection.name, self._fields.of(type_)
        if name == "__typename" or (name == "resourceType" and self._fields.is_resource(type_)):
            return
        if name == "resource" and type_ == "Reference":
            self._reference(selection)
        elif name in known:
            self._element(selection, known[name].type, scalar=known[name].scalar, many=known[name].many)
        elif self._fields.is_resource(type_) and (target := target_of(name, self._fields, ("List", "Connection"))):
            self._search(selection, target.type, target.way, reverse=True)
        elif type_ != ANY:
            self._wrong(f"{name_of(type_)} has no field {name}", selection)

    def _element(self, selection: Selection, type_: str, *, scalar: bool, many: bool) -> None:
        if selection.arguments and not many:
            self._wrong(f"{selection.name} is no list, so there is nothing to choose by arguments", selection)
        try:
            check_arguments(selection.arguments, type_, self._fields)
        except QueryFault as fault:
            self._wrong(fault.message, selection)
        if not scalar:
            self.object(selection.selections, type_, selection)
        elif selection.selections:
            self._wrong(f"{selection.name} is a {type_} and has no fields", selection)

    def _reference(self, selection: Selection) -> None:
        arguments = selection.arguments
        wanted = arguments.get("type")
        if not set(arguments) <= {"type", "optional"} or not isinstance(arguments.get("optional", False), bool | None):
            self._wrong("resource takes type: and optional:", selection)
        if wanted is not None and wanted not in self._fields.facts.resource_types:
            self._wrong(f"there is no resource type {wanted}", selection)
            return
        self.object(selection.selections, wanted or ANY, selection)

    def _search(self, selection: Selection, type_: str, way: str, *, reverse: bool) -> None:
        if reverse and not self._is_reference(type_, selection.arguments):
            self._wrong(
                f"{selection.name} needs _reference: a search parameter of {type_} that is a reference", selection
            )
        self._parameters(selection, type_)
        if way == "List":
            self.object(selection.selections, type_, selection)
            return
        for each in selection.selections:
            if each.name == "edges":
                self._edges(each, type_)
            elif each.name not in _CONNECTION:
                self._wrong(f"{selection.name} has no field {each.name}", each)

    def _edges(self, selection: Selection, type_: str) -> None:
        for each in selection.selections:
            if each.name == "resource":
                self.object(each.selections, type_, each)
            elif each.name not in _EDGE:
                self._wrong(f"edges have no field {each.name}", each)

    def _is_reference(self, type_: str, arguments: Mapping[str, Any]) -> bool:
        name = str(arguments.get("_reference") or "").replace("_", "-")
        parameter = self._ctx.core.parameters.get(type_, name)
        return parameter is not None and parameter.type == "reference"

    def _parameters(self, selection: Selection, type_: str) -> None:
        """Search parameters are looked at by the search itself; here only what cannot be one."""
        for name, value in selection.arguments.items():
            if isinstance(value, dict) or (name in _PAGING and not isinstance(value, str | None)):
                self._wrong(f"{name} takes a text, a number, true or false", selection)
