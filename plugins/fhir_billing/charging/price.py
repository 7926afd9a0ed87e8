"""What something costs: base, surcharges, discounts, exemptions and taxes of a ChargeItemDefinition, each as an amount.

Spec: https://hl7.org/fhir/R4/chargeitemdefinition.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fhir_billing.money import Money, MoneyFault, Rounding, money_of, rounded, zero
from fhir_server.plugin_api import FhirPathError, evaluate

_ADDS: Final = frozenset(("base", "surcharge"))
_TAKES: Final = frozenset(("discount", "deduction"))
NAMES: Final = {"discount": "discount", "deduction": "exemption"}
"""What lessens a price: a discount, or an exemption (somebody need not pay: the component is a `deduction`)."""


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a price. type: of invoice-priceComponentType. code: for the account it is booked on. amount: with
    its sign, so that the components sum up to what is asked for."""

    type: str
    code: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one thing, and the definition that it comes from, `url|version`."""

    components: tuple[Component, ...]
    definition: str

    @property
    def gross(self) -> Money:
        """Base and surcharges."""
        return _sum(each for each in self.components if each.type in _ADDS)

    @property
    def net(self) -> Money:
        """What is asked for, taxes included."""
        return _sum(self.components)


def price_of(
    definition: Mapping[str, Any], quantity: Decimal, subject: Mapping[str, Any], more: Mapping[str, Any],
    rule: Rounding = "half-up",
) -> Price:  # fmt: skip
    """Return the price of a quantity for a patient.

    Args:
        subject: what the expressions of `applicability` start from: the Patient.
        more: what they may name besides: `%encounter`, `%service`, `%payer`, `%day`.

    Raises:
        MoneyFault: no base price applies, or two currencies meet, or an expression is wrong.
    """
    found = list(_applying(definition, subject, more))
    base = next((each for each in found if each["type"] == "base"), None)
    if base is None:
        raise MoneyFault(
            "the definition has no base price that applies", expression="ChargeItemDefinition.propertyGroup"
        )
    unit = money_of(base["amount"], place="ChargeItemDefinition.propertyGroup.priceComponent.amount")
    gross = rounded(unit.amount * quantity, unit.currency, rule)
    components = [Component("base", _code(base), gross)]
    for each in sorted(found, key=lambda one: _ORDER.get(one["type"], 9)):
        if each["type"] in _ORDER:
            components.append(_component(each, quantity, components, rule))
    return Price(tuple(components), _canonical(definition))


_ORDER: Final = {"surcharge": 0, "discount": 1, "deduction": 2, "tax": 3}


def included(price: Price, package: str) -> Price:
    """Return the price of what a package holds already: all of it is taken off."""
    off = Component("discount", f"package:{package}", -price.net)
    return Price((*price.components, off), price.definition)


def _component(each: Mapping[str, Any], quantity: Decimal, before: Sequence[Component], rule: Rounding) -> Component:
    so_far = _sum(before)
    base = before[0].amount if each["type"] == "surcharge" else so_far
    if "amount" in each:
        unit = money_of(each["amount"], place="ChargeItemDefinition.propertyGroup.priceComponent.amount")
        amount = rounded(unit.amount * quantity, unit.currency, rule)
    else:
        amount = rounded(base.amount * Decimal(each.get("factor", 0)), base.currency, rule)
    if each["type"] in _TAKES:
        amount = -min(amount, so_far, key=lambda money: money.amount)
    return Component(each["type"], _code(each), amount)


def _applying(
    definition: Mapping[str, Any], subject: Mapping[str, Any], more: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    groups: Sequence[Any] = definition.get("propertyGroup", ())
    for group in groups:
        if all(_applies(rule, subject, more) for rule in group.get("applicability", ())):
            yield from group.get("priceComponent", ())


def _applies(rule: Mapping[str, Any], subject: Mapping[str, Any], more: Mapping[str, Any]) -> bool:
    try:
        return evaluate(dict(subject), str(rule.get("expression", "true")), more) == [True]
    except FhirPathError as error:
        place = "ChargeItemDefinition.propertyGroup.applicability.expression"
        raise MoneyFault(f"a rule of the price list cannot be evaluated: {error}", expression=place) from error


def _code(component: Mapping[str, Any]) -> str:
    concept = component.get("code") or {}
    coding: Sequence[Any] = concept.get("coding", ())
    return str(next((each["code"] for each in coding if "code" in each), concept.get("text", "") or component["type"]))


def _canonical(definition: Mapping[str, Any]) -> str:
    version = f"|{definition['version']}" if definition.get("version") else ""
    return f"{definition.get('url', '')}{version}"


def _sum(components: Any) -> Money:
    amounts = [each.amount for each in components]
    return sum(amounts[1:], start=amounts[0]) if amounts else zero("USD")
