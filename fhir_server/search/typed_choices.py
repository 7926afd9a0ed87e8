"""Names of choices as JSON has them, in expressions of SearchParameters: guides publish `value.ofType(dateTime)` as
`valueDateTime`, which is no FHIRPath.

Spec: https://hl7.org/fhir/R4/fhirpath.html#polymorphism
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from fhir_server.definitions import Definitions

_QUOTED = re.compile(r"('(?:[^'\\]|\\.)*')")
_STEP = re.compile(r"\.([a-z]+[A-Z][A-Za-z0-9]*)\b(?!\s*\()")


def with_types(expression: str, bases: Iterable[str], facts: Definitions) -> str:
    """Return an expression with its choices as FHIRPath has them: `.valueDateTime` is `.value.ofType(dateTime)`.

    bases: the resource types that it is for; what is the name of an element of one of them stays.
    """
    concrete, own = _concrete(facts), set[str]().union(*(_plain(base, facts) for base in bases))

    def step(found: re.Match[str]) -> str:
        return found[0] if found[1] in own else concrete.get(found[1], found[0])

    pieces = _QUOTED.split(expression)
    return "".join(piece if number % 2 else _STEP.sub(step, piece) for number, piece in enumerate(pieces))


@lru_cache(maxsize=4)
def _concrete(facts: Definitions) -> dict[str, str]:
    """Return the JSON name of each choice, and the steps that FHIRPath takes to it."""
    found = {}
    for definition in facts.types.values():
        for name, element in definition.by_name.items():
            end = name.removeprefix(element.name)
            type_ = next((each.code for each in element.types if each.code.lower() == end.lower()), "")
            if element.choice and end and type_:
                found[name] = f".{element.name}.ofType({type_})"
    return found


def _plain(base: str, facts: Definitions) -> set[str]:
    """Return the names of the elements of a resource type, at any depth, that are no choices."""
    own = (d for key, d in facts.types.items() if key == base or key.startswith(f"{base}."))
    return {name for definition in own for name, element in definition.by_name.items() if not element.choice}
