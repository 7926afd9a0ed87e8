"""Functions that FHIR adds to FHIRPath.

Spec: https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.fhirpath import node as nodes
from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.function import Function, answer, fixed
from fhir_server.fhirpath.narrative import is_narrative
from fhir_server.fhirpath.node import Collection, Item, Node
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.values import is_fhir_primitive, string, system

_PROFILES = "http://hl7.org/fhir/StructureDefinition/"


def extension(run: Run, focus: Collection, url: Collection) -> Collection:
    """`extension(url)`: the extensions of each item that have this URL, those of primitives too."""
    wanted = string(url, "extension()")
    found: Collection = []
    for item in focus:
        if isinstance(item, Node):
            found += [e for e in nodes.members(item, "extension", run.model) if _url(e) == wanted]
    return found


def _url(extension: Node) -> Any:
    return extension.value.get("url") if isinstance(extension.value, dict) else None


def has_value(run: Run, focus: Collection) -> Collection:
    """`hasValue()`: whether there is one primitive and it has a value, not only extensions."""
    return [len(focus) == 1 and _value(focus[0]) is not None]


def get_value(run: Run, focus: Collection) -> Collection:
    """`getValue()`: the System value of the only primitive."""
    if len(focus) != 1 or _value(focus[0]) is None:
        return []
    return answer(system(focus[0]))


def _value(item: Item) -> Any:
    if not isinstance(item, Node):
        return None if isinstance(item, Quantity) else item
    return item.value if is_fhir_primitive(item) else None


# --- references


def resolve(run: Run, focus: Collection) -> Collection:
    """`resolve()`: what references, canonicals and URIs point to; those that lead nowhere are left out."""
    found = (resolve_item(run, item) for item in focus)
    return [target for target in found if target is not None]


def resolve_item(run: Run, item: Item) -> Node | None:
    """What one reference points to: in the same resource, in the Bundle at hand, or elsewhere."""
    reference = reference_of(item)
    if reference is None:
        return None
    if reference.startswith("#"):
        return _contained(run, item, reference[1:])
    if run.root.type == "Bundle" and (entry := _entry(run, reference)):
        return entry
    target = run.services.resolve(reference) if run.services.resolve else None
    return nodes.root(target, run.model) if target is not None else None


def reference_of(item: Item) -> str | None:
    """The literal reference in a Reference, or in a URI itself."""
    value = item.value if isinstance(item, Node) else item
    if isinstance(value, dict):
        value = value.get("reference")
    return value if isinstance(value, str) else None


def referenced_type(run: Run, item: Item) -> str | None:
    """The resource type that a reference names, without following it.

    Spec: https://hl7.org/fhir/R4/references.html#literal
    """
    value = item.value if isinstance(item, Node) else None
    if isinstance(value, dict) and isinstance(value.get("type"), str) and run.model.known(value["type"]):
        return str(value["type"])
    reference = reference_of(item)
    if reference is None:
        return None
    steps = reference.partition("/_history/")[0].split("/")
    return steps[-2] if len(steps) > 1 and run.model.is_resource(steps[-2]) else None


def _contained(run: Run, item: Item, local_id: str) -> Node | None:
    container = _container(item) if isinstance(item, Node) else run.root
    if not local_id:
        return container
    for candidate in nodes.members(container, "contained", run.model):
        if isinstance(candidate.value, dict) and candidate.value.get("id") == local_id:
            return candidate
    return None


def _container(node: Node) -> Node:
    """The resource in which a node's contained resources lie."""
    while node.parent is not None and not _is_container(node):
        node = node.parent
    return node


def _is_container(node: Node) -> bool:
    return isinstance(node.value, dict) and "resourceType" in node.value and node.key != "contained"


def _entry(run: Run, reference: str) -> Node | None:
    """The resource of the Bundle whose fullUrl is the reference, or ends in it.

    Spec: https://hl7.org/fhir/R4/bundle.html#references
    """
    relative = ":" not in reference
    for entry in nodes.members(run.root, "entry", run.model):
        url = entry.value.get("fullUrl") if isinstance(entry.value, dict) else None
        if isinstance(url, str) and (url == reference or (relative and url.endswith("/" + reference))):
            return next(nodes.members(entry, "resource", run.model), None)
    return None


# --- terminology and profiles: asked of the services


def member_of(run: Run, focus: Collection, value_set: Collection) -> Collection:
    """`memberOf(valueset)`; empty when there is nobody to ask, or he does not know."""
    url = string(value_set, "memberOf()")
    service = run.services.member_of
    if len(focus) != 1 or url is None or service is None:
        return []
    return answer(service(_json(focus[0]), url))


def subsumes(run: Run, focus: Collection, other: Collection) -> Collection:
    """`subsumes(code)`: whether the code is the same as the other, or wider."""
    return _subsumption(run, focus, other)


def subsumed_by(run: Run, focus: Collection, other: Collection) -> Collection:
    """`subsumedBy(code)`: whether the code is the same as the other, or narrower."""
    return _subsumption(run, other, focus)


def _subsumption(run: Run, wide: Collection, narrow: Collection) -> Collection:
    service = run.services.subsumes
    if len(wide) != 1 or len(narrow) != 1 or service is None:
        return []
    return answer(service(_json(wide[0]), _json(narrow[0])))


def _json(item: Item) -> Any:
    return item.value if isinstance(item, Node) else item


def conforms_to(run: Run, focus: Collection, profile: Collection) -> Collection:
    """`conformsTo(profile)`; without a service only the types of FHIR themselves are known.

    Raises:
        FhirPathError: there is no such profile.
    """
    url = string(profile, "conformsTo()")
    if len(focus) != 1 or url is None or not isinstance(focus[0], Node):
        return []
    service = run.services.conforms_to
    found = service(focus[0].value, url) if service else None
    if found is None:
        found = _is_of_type(run, focus[0], url)
    return [found]


def _is_of_type(run: Run, node: Node, url: str) -> bool:
    name = url.removeprefix(_PROFILES)
    if name == url or not run.model.known(name):
        raise FhirPathError(f"there is no profile {url}")
    return node.type is not None and name in run.model.kinds(node.type)


def element_definition(run: Run, focus: Collection) -> Collection:
    """`elementDefinition()`: the definition of each element, from the service that knows profiles."""
    service = run.services.element_definition
    found = [service(item) for item in focus if isinstance(item, Node)] if service else []
    return [Node(definition, "ElementDefinition") for definition in found if definition is not None]


def html_checks(run: Run, focus: Collection) -> Collection:
    """`htmlChecks()`: whether the narrative holds nothing that a narrative may not.

    Spec: https://hl7.org/fhir/R4/narrative.html#xhtml
    """
    text = string(focus, "htmlChecks()")
    return [] if text is None else [is_narrative(text)]


def check_modifiers(run: Run, focus: Collection, *known: Collection) -> Collection:
    """`checkModifiers(url, ...)`: the input, unless it has a modifier extension that is not listed.

    Raises:
        FhirPathError: there is one.
    """
    urls = {string(url, "checkModifiers()") for url in known}
    for item in focus:
        if isinstance(item, Node):
            found = nodes.members(item, "modifierExtension", run.model)
            if any(_url(modifier) not in urls for modifier in found):
                raise FhirPathError("an element has a modifier extension that the expression does not know")
    return focus


FUNCTIONS: Mapping[str, Function] = {
    "extension": fixed(extension, 1),
    "hasValue": fixed(has_value),
    "getValue": fixed(get_value),
    "resolve": fixed(resolve),
    "memberOf": fixed(member_of, 1),
    "subsumes": fixed(subsumes, 1),
    "subsumedBy": fixed(subsumed_by, 1),
    "conformsTo": fixed(conforms_to, 1),
    "elementDefinition": fixed(element_definition),
    "htmlChecks": fixed(html_checks),
    "htmlChecks2": fixed(html_checks),
    "checkModifiers": Function(check_modifiers, 1, 64),
}
