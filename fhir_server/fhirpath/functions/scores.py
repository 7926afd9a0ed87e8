"""`weight()`: the score that an answer, an answer option or a code carries with it.

Scores that stand in a code system or in the questionnaire of an answer are not looked up.

Spec: https://hl7.org/fhir/R5/fhirpath.html#functions and https://hl7.org/fhir/uv/sdc/expressions.html
"""

from collections.abc import Mapping

from fhir_server.fhirpath import node as nodes
from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.functions.function import Function, fixed
from fhir_server.fhirpath.node import Collection, Node

_URLS = frozenset(
    f"http://hl7.org/fhir/StructureDefinition/{name}"
    for name in ("ordinalValue", "itemWeight", "codesystem-ordinalValue", "valueset-ordinalValue", "iso21090-CO-value")
)


def weight(run: Run, focus: Collection) -> Collection:
    """`weight()`: the score of each item that has one, or whose `value` has one."""
    found: Collection = []
    for item in focus:
        if isinstance(item, Node):
            own = _score(run, item)
            found += own or [score for value in nodes.members(item, "value", run.model) for score in _score(run, value)]
    return found


def _score(run: Run, node: Node) -> Collection:
    for extension in nodes.members(node, "extension", run.model):
        if isinstance(extension.value, dict) and extension.value.get("url") in _URLS:
            return list(nodes.members(extension, "value", run.model))
    return []


FUNCTIONS: Mapping[str, Function] = {"weight": fixed(weight), "ordinal": fixed(weight)}
