"""How the two patients look after a merge."""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_match.pair import Pair, named
from fhir_server.plugin_api import Inputs, InvalidResource, Issue

_META = ("versionId", "lastUpdated")


def merged_target(base: str, two: Pair, inputs: Inputs) -> dict[str, Any]:
    """Return the target as it shall be.

    Without a `result-patient` nothing of the target is overwritten: it gets the identifiers of the source as old ones
    and a link that it replaces the source.

    Raises:
        InvalidResource: the `result-patient` is not as the operation wants it.
    """
    given = inputs.one("result-patient")
    if given is not None:
        _check(base, two, inputs, given)
        return dict(given)
    target, source = two.target, two.source
    result = {name: value for name, value in target.items() if name != "link"}
    known = {_plain(each) for each in target.get("identifier", [])}
    more = [{**each, "use": "old"} for each in source.get("identifier", []) if _plain(each) not in known]
    if more:
        result["identifier"] = [*target.get("identifier", []), *more]
    kept = [link for link in target.get("link", []) if named(base, link.get("other", {})) != source["id"]]
    result["link"] = [*kept, _link(source, "replaces")]
    return result


def merged_source(base: str, two: Pair) -> dict[str, Any]:
    """Return the source as it shall be: inactive, with a link to what replaced it."""
    source = two.source
    kept = [link for link in source.get("link", []) if named(base, link.get("other", {})) != two.target["id"]]
    return {**source, "active": False, "link": [*kept, _link(two.target, "replaced-by")]}


def content(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource without what the server owns of its meta."""
    meta = {name: value for name, value in (resource.get("meta") or {}).items() if name not in _META}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return {**rest, "meta": meta} if meta else rest


def _check(base: str, two: Pair, inputs: Inputs, given: Mapping[str, Any]) -> None:
    wrong = []
    if given.get("id") != two.target["id"]:
        wrong.append(("it has to have the id of the target", "id"))
    if not _says_replaces(base, given, two.source["id"]):
        wrong.append((f"it needs a link of type `replaces` to Patient/{two.source['id']}", "link"))
    if any(link.get("type") == "replaced-by" for link in given.get("link", [])):
        wrong.append(("it cannot itself be replaced by another", "link"))
    if given.get("active") is False:
        wrong.append(("it has to be active", "active"))
    known = {_plain(each) for each in given.get("identifier", [])}
    asked = [*inputs.many("source-patient-identifier"), *inputs.many("target-patient-identifier")]
    if any(_plain(each) not in known for each in asked):
        wrong.append(("it needs the identifiers by which source and target were named", "identifier"))
    if wrong:
        issues = [Issue(f"result-patient: {said}", "invalid", expression=(f"Patient.{name}",)) for said, name in wrong]
        raise InvalidResource(issues[0].diagnostics, issues=issues)


def _says_replaces(base: str, given: Mapping[str, Any], source: str) -> bool:
    links: Sequence[Mapping[str, Any]] = given.get("link", [])
    return any(link.get("type") == "replaces" and named(base, link.get("other", {})) == source for link in links)


def _plain(identifier: Mapping[str, Any]) -> tuple[str, str]:
    return str(identifier.get("system") or ""), str(identifier.get("value") or "")


def _link(other: Mapping[str, Any], type_: str) -> dict[str, Any]:
    return {"other": {"reference": f"Patient/{other['id']}"}, "type": type_}
