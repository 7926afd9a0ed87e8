"""Invariants that a profile adds, as FHIRPath.

Spec: https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath import Expression, FhirPathError, Limits, Node, Options, Services, compile_expression
from fhir_server.validation.profiles.budget import spend, spent_since
from fhir_server.validation.profiles.choices import with_choices
from fhir_server.validation.profiles.elements import Json, objects
from fhir_server.validation.profiles.facts import CORE, Facts
from fhir_server.validation.profiles.rule import Good, Rule, SpotCheck
from fhir_server.validation.profiles.spot import Spot, node_of, with_parents
from fhir_server.validation.run import Run

if TYPE_CHECKING:
    from fhir_server.validation.profiles.registry import Profiles

_BEST_PRACTICE = CORE + "elementdefinition-bestpractice"
# The rule of vital signs, which in words is about points in time only.
_PRECISE_TO_THE_DAY = "($this as dateTime).toString().length() >= 8"
_CORRECTED = {_PRECISE_TO_THE_DAY: "$this is dateTime implies $this.toString().length() >= 8"}
LIMITS = Limits(seconds=1.0, steps=200_000)
Conforms = Callable[[Any, str, Run], bool | None]
MAX_INVARIANTS = 200


def invariant_checks(definition: Json, base: Facts, profile: str, profiles: "Profiles") -> Iterator[SpotCheck]:
    """Yield the checks of the constraints of an element that its base has not."""
    for constraint in objects(definition.get("constraint"))[:MAX_INVARIANTS]:
        expression = constraint.get("expression")
        if str(constraint.get("key")) not in base.constraints and isinstance(expression, str):
            yield _invariant(constraint, expression, profile, profiles)


def _invariant(constraint: Json, source: str, profile: str, profiles: "Profiles") -> SpotCheck:
    key, human = str(constraint.get("key") or ""), str(constraint.get("human") or source)
    severe = constraint.get("severity") == "error" and not _best_practice(constraint)
    text = f"Constraint failed: {key}: '{human}' (defined in {profile})"
    try:
        expression = compile_expression(with_choices(_CORRECTED.get(source, source), profiles.definitions))
    except FhirPathError as error:
        return _broken(f"The invariant {key} of {profile} cannot be evaluated: {error}")

    def check(spot: Spot, run: Run) -> None:
        if not spend(run, 1):
            return
        start = perf_counter()
        try:
            holds = _holds(expression, spot, run, profiles.conforms_value)
        except FhirPathError as error:
            run.warn(spot, "processing", f"The invariant {key} of {profile} cannot be evaluated: {error}", key)
            return
        finally:
            spent_since(run, start)
        if not holds:
            (run.error if severe else run.warn)(spot, "invariant", text, key)

    if source == _PRECISE_TO_THE_DAY:
        return Rule(check, _is_precise_to_the_day)
    # What has a regex may take long, and the quick look does not count its time.
    return check if "atches" in source else Rule(check, _quick(expression))


def _is_precise_to_the_day(value: Any, type_: str, _run: Run) -> bool:
    return type_ != "dateTime" or (type(value) is str and len(value) >= len("YYYYMMDD"))


def _quick(expression: Expression) -> Good:
    """Plain expressions are evaluated on the JSON alone."""

    def good(value: Any, type_: str, _run: Run) -> bool:
        if type(value) is not dict or not expression.is_plain(type_):
            return False
        try:
            return _true(expression.for_type(type_)(value))
        except FhirPathError:
            return False

    return good


def _best_practice(constraint: Json) -> bool:
    """A best practice that is not kept is no error, whatever severity is written."""
    extensions = objects(constraint.get("extension"))
    return any(each.get("url") == _BEST_PRACTICE and each.get("valueBoolean") is True for each in extensions)


def _broken(text: str) -> SpotCheck:
    def check(spot: Spot, run: Run) -> None:
        if ("profiles.broken", text) not in run.memo and not run.findings.errors_only:
            run.memo["profiles.broken", text] = True
            run.warn(spot, "processing", text)

    return check


def _holds(expression: Expression, spot: Spot, run: Run, conforms: Conforms) -> bool:
    """Nothing at all counts as false, any value but false as true."""
    if type(spot.value) is dict and expression.is_plain(spot.type):
        return _true(expression.for_type(spot.type)(spot.value))
    return evaluate(expression, spot, run, conforms)


def evaluate(
    expression: Expression, spot: Spot, run: Run, conforms: Conforms, variables: Mapping[str, Any] | None = None
) -> bool:
    """Evaluate on an element in its place, with `%resource` and all that can be asked of profiles and terminology."""
    context = node_of(with_parents(spot, run))
    root = context
    while root.parent is not None:
        root = root.parent
    variables = _around(context) | dict(variables or {})
    found = expression.evaluate(root, variables, context=context, options=Options(_services(run, conforms), LIMITS))
    return _true([node.value for node in found])


def _around(context: Node) -> dict[str, Node]:
    """For an element that is a resource, `%resource` is the one that it stands in: that is what the profile is on."""
    outer = context.parent
    while outer is not None and not (isinstance(outer.value, dict) and "resourceType" in outer.value):
        outer = outer.parent
    if outer is None or not (isinstance(context.value, dict) and "resourceType" in context.value):
        return {}
    return {"resource": outer, "rootResource": outer}


def _true(found: list[Any]) -> bool:
    return len(found) > 0 and not (len(found) == 1 and found[0] is False)


def _services(run: Run, conforms: Conforms) -> Services:
    def conforms_to(value: Any, profile: str) -> bool | None:
        return conforms(value, profile, run)

    return Services(
        resolve=run.resolve,  # type: ignore[arg-type]  # mappings are read only
        member_of=lambda value, value_set: member_of(value, value_set, run),
        conforms_to=conforms_to,
    )


def member_of(value: Any, value_set: str, run: Run) -> bool | None:
    """Whether a code, Coding, CodeableConcept or Quantity is in a value set; None where that cannot be told."""
    answers = [run.knowledge.terms.check(value_set, system, code).result for system, code in codes_of(value)]
    if True in answers:
        return True
    return None if None in answers else False


def codes_of(value: Any) -> list[tuple[str | None, str]]:
    """Return system and code of each coding of a value."""
    if isinstance(value, str):
        return [(None, value)]
    if not isinstance(value, dict):
        return []
    codings = objects(value.get("coding", [value] if "code" in value else []))
    return [(_text(coding.get("system")), coding["code"]) for coding in codings if isinstance(coding.get("code"), str)]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
