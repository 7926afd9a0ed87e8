"""Rules of de-identification as read from JSON: which elements, what happens to them.

A path is FHIRPath that begins with a type. Plain ones name elements of a resource (`Patient.birthDate`,
`Observation.value.ofType(Quantity)`), of every resource (`Resource.id`), of a data type wherever it stands
(`Address.state`), or a data type itself (`HumanName`, `date`). Any other expression is evaluated on each resource.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Expression, FhirPathError, compile_expression
from fhir_server.model.json import JsonError, decode

METHODS: Final[Mapping[str, frozenset[str]]] = {
    "keep": frozenset(),
    "redact": frozenset(),
    "dateShift": frozenset(("days",)),
    "cryptoHash": frozenset(),
    "generalize": frozenset(("to", "step", "most")),
    "substitute": frozenset(("with",)),
    "perturb": frozenset(("span", "digits")),
    "encrypt": frozenset(),
}
"""Methods with the options that they take."""

GENERAL: Final = frozenset(("year", "month", "zip3", "step", "most"))
_PLAIN: Final = re.compile(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+)*(\.ofType\([A-Za-z0-9]+\))?")


class BadRules(ValueError):
    """Rules that mean nothing; the message names the rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `options` as its method takes them."""

    path: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """`plain` are rules by path, `general` expressions by the type that they begin with."""

    name: str
    plain: Mapping[str, Rule]
    general: Mapping[str, Sequence[tuple[Expression, Rule]]]


def read_rules(raw: bytes, facts: Definitions) -> RuleSet:
    """Read `{"name": ..., "rules": [{"path": ..., "method": ..., ...}]}`. Raises BadRules."""
    try:
        text = decode(raw)
    except JsonError as error:
        raise BadRules(f"the rules are no JSON: {error}") from None
    if not isinstance(text, dict) or not isinstance(text.get("rules"), list):
        raise BadRules("the rules are an object with a list `rules`")
    plain: dict[str, Rule] = {}
    general: dict[str, list[tuple[Expression, Rule]]] = {}
    for number, item in enumerate(text["rules"]):
        rule = _rule(number, item)
        type_ = rule.path.split(".", 1)[0]
        if type_ not in facts.types:
            raise BadRules(f"rule {number}: {type_[:60]!r} is no type")
        if _PLAIN.fullmatch(rule.path):
            _check_path(number, rule.path, facts)
            plain.setdefault(rule.path, rule)
        else:
            general.setdefault(type_, []).append((_compiled(number, rule, facts), rule))
    return RuleSet(str(text.get("name", "")), plain, general)


def _rule(number: int, item: Any) -> Rule:
    if not isinstance(item, dict) or not isinstance(item.get("path"), str):
        raise BadRules(f"rule {number} has no path")
    method = item.get("method")
    if not isinstance(method, str) or method not in METHODS:
        raise BadRules(f"rule {number}: the method is one of {', '.join(METHODS)}")
    options = {name: value for name, value in item.items() if name not in ("path", "method", "why")}
    for name in options:
        if name not in METHODS[method]:
            raise BadRules(f"rule {number}: {method} takes no {name[:60]!r}")
    _check_options(number, method, options)
    return Rule(item["path"], method, options)


def _check_options(number: int, method: str, options: Mapping[str, Any]) -> None:
    days = options.get("days", 1)
    if method == "dateShift" and not (isinstance(days, int) and 1 <= days <= 3650):
        raise BadRules(f"rule {number}: days is a number from 1 to 3650")
    if method == "generalize" and options.get("to") not in GENERAL:
        raise BadRules(f"rule {number}: `to` is one of {', '.join(sorted(GENERAL))}")
    for name in ("step", "most"):
        if options.get("to") == name and not _is_positive(options.get(name)):
            raise BadRules(f"rule {number}: {name} is a number above 0")
    if method == "perturb" and not _is_positive(options.get("span")):
        raise BadRules(f"rule {number}: span is a number above 0")
    if method == "substitute" and "with" not in options:
        raise BadRules(f"rule {number}: substitute needs `with`")


def _is_positive(value: Any) -> bool:
    return not isinstance(value, bool | str | list | dict | None) and value > 0


def _check_path(number: int, path: str, facts: Definitions) -> None:
    """Refuse names that do not exist: such a rule would silently never hold."""
    type_, *names = re.sub(r"\.ofType\(([A-Za-z0-9]+)\)$", "", path).split(".")
    definition = facts.types[type_]
    for at, name in enumerate(names):
        element = next((each for each in definition.elements if each.name == name), None)
        if element is None:
            raise BadRules(f"rule {number}: {definition.name} has no element {name[:60]!r}")
        if at + 1 < len(names):
            key = element.type_key or (element.types[0].code if element.types else "")
            if key not in facts.types or not element.type_key:
                raise BadRules(f"rule {number}: elements of {key} are named by {key}.{names[at + 1]}")
            definition = facts.types[key]


def _compiled(number: int, rule: Rule, facts: Definitions) -> Expression:
    type_ = rule.path.split(".", 1)[0]
    if type_ not in facts.resource_types and type_ not in ("Resource", "DomainResource"):
        raise BadRules(f"rule {number}: an expression begins with the type of a resource, or with Resource")
    try:
        return compile_expression(rule.path)
    except FhirPathError as error:
        raise BadRules(f"rule {number}: {error}") from None
