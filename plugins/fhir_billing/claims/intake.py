"""Intake: a Claim as values that can be adjudicated; what is wrong with it is said all at once, with its places."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final, TypeVar

from fhir_billing.adjudication.facts import Line, PriorLine
from fhir_billing.coverage.cover import day_of
from fhir_billing.money import Money, MoneyFault, money_of, rounded
from fhir_server.plugin_api import InvalidResource, Issue

T = TypeVar("T")
USES: Final = frozenset(("claim", "preauthorization", "predetermination"))
RELATIONS: Final = {
    "prior": "prior", "replaces": "replaces", "replacement": "replaces", "7": "replaces", "8": "cancels",
    "resubmission": "resubmission", "appeal": "appeal", "associated": "associated", "cancels": "cancels",
}  # fmt: skip
"""Codes of Claim.related.relationship, our own and those of others, to what they mean here."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A Claim, checked. total: what is asked for; related: relation and Claim id of other claims; currency of all."""

    resource: Mapping[str, Any]
    use: str
    patient: str
    currency: str
    total: Money
    lines: tuple[Line, ...]
    related: tuple[tuple[str, str], ...]
    coverage: str
    insurance: int
    created: date


@dataclass(slots=True)
class _Faults:
    issues: list[Issue] = field(default_factory=list)

    def add(self, text: str, place: str, code: str = "business-rule") -> None:
        self.issues.append(Issue(text, code, expression=(place,)))

    def of(self, make: Callable[[], T]) -> T | None:
        """Return what a function makes; note a fault of money instead."""
        try:
            return make()
        except MoneyFault as error:
            self.issues += error.issues
            return None


def take(claim: Mapping[str, Any], prior: Mapping[int, PriorLine] | None = None, usual: str = "") -> Taken:
    """Return a Claim as values.

    Args:
        prior: what earlier payers did with its lines.
        usual: the currency of a request for authorization that has no amounts.

    Raises:
        InvalidResource: an issue for each fault, with its place.
    """
    faults = _Faults()
    use = str(claim.get("use", ""))
    if use not in USES:
        faults.add(f"use is one of {', '.join(sorted(USES))}", "Claim.use", "value")
    number, insurance = _focal(claim, faults)
    currency = _currency(claim) or (usual if use == "preauthorization" else "")
    lines = tuple(_lines(claim, currency, faults, prior or {}))
    total = _total(claim, lines, currency, faults)
    related = tuple(_related(claim, faults))
    patient = str(claim.get("patient", {}).get("reference", ""))
    if not patient:
        faults.add("the claim names no patient", "Claim.patient", "required")
    if faults.issues:
        raise InvalidResource("the claim cannot be adjudicated", issues=faults.issues)
    coverage = str(insurance.get("coverage", {}).get("reference", ""))
    created = day_of(claim.get("created"), date.max)
    return Taken(claim, use, patient, currency, total, lines, related, coverage, number, created)


def _focal(claim: Mapping[str, Any], faults: _Faults) -> tuple[int, Mapping[str, Any]]:
    """Return the insurance that is asked to pay, with its index."""
    given = [(n, each) for n, each in enumerate(claim.get("insurance", ())) if each.get("focal") is True]
    if len(given) != 1:
        faults.add("exactly one insurance is focal: the one that is asked to pay", "Claim.insurance", "invariant")
        return 0, {}
    return given[0]


def _currency(claim: Mapping[str, Any]) -> str:
    """Return the currency of the total, or of the first amount there is."""
    given = [claim.get("total"), *(item.get(name) for item in claim.get("item", ()) for name in ("net", "unitPrice"))]
    return next((str(each["currency"]) for each in given if isinstance(each, Mapping) and each.get("currency")), "")


def _lines(claim: Mapping[str, Any], currency: str, faults: _Faults, prior: Mapping[int, PriorLine]) -> Iterator[Line]:
    items = claim.get("item", ())
    if not items:
        faults.add("the claim has no items", "Claim.item", "required")
    seen: set[int] = set()
    for index, item in enumerate(items):
        place = f"Claim.item[{index}]"
        sequence = int(item.get("sequence", 0))
        if sequence in seen or sequence < 1:
            faults.add(f"the sequence {sequence} stands twice or is below 1", f"{place}.sequence", "duplicate")
        seen.add(sequence)
        line = _line(claim, item, place, currency, faults)
        if line is not None:
            yield _with_prior(line, prior.get(sequence))


def _with_prior(line: Line, prior: PriorLine | None) -> Line:
    if prior is None:
        return line
    return Line(
        line.sequence, line.codes, line.serviced, line.charge, line.quantity, line.modifiers, line.diagnoses,
        line.authorization, prior,
    )  # fmt: skip


def _line(claim: Mapping[str, Any], item: Mapping[str, Any], place: str, currency: str, faults: _Faults) -> Line | None:
    codes = codes_of(item.get("productOrService", {}))
    if not codes:
        faults.add("the item has no coded product or service", f"{place}.productOrService", "required")
    may_lack = claim.get("use") == "preauthorization"
    charge = faults.of(lambda: _charge(item, place, currency, may_lack=may_lack))
    quantity = _quantity(item, place, faults)
    serviced = _serviced(claim, item, place, faults)
    if charge is None or serviced is None or quantity is None:
        return None
    return Line(
        sequence=int(item.get("sequence", 0)),
        codes=codes,
        serviced=serviced,
        charge=charge.amount,
        quantity=quantity,
        modifiers=tuple(code for each in item.get("modifier", ()) for code in _bare(codes_of(each))),
        diagnoses=tuple(_diagnoses(claim, item)),
        authorization=_authorization(claim),
    )


def _charge(item: Mapping[str, Any], place: str, currency: str, *, may_lack: bool) -> Money:
    """Return what is asked for an item; its net has to be quantity by price by factor. may_lack: it may have none."""
    price = item.get("unitPrice")
    counted = None if price is None else _counted(item, money_of(price, place=f"{place}.unitPrice"), place)
    if "net" not in item:
        if counted is None and may_lack:
            return Money(Decimal(0), currency)
        if counted is None:
            raise MoneyFault("the item has neither net nor unitPrice", expression=f"{place}.net")
        return _same(counted, currency, f"{place}.unitPrice")
    net = _same(money_of(item["net"], place=f"{place}.net"), currency, f"{place}.net")
    if counted is not None and _same(counted, currency, f"{place}.unitPrice") != net and not item.get("detail"):
        raise MoneyFault(f"net is {net}, but quantity, price and factor make {counted}", expression=f"{place}.net")
    return net


def _counted(item: Mapping[str, Any], price: Money, place: str) -> Money:
    factor = _number(item.get("factor", 1), f"{place}.factor")
    quantity = _number(item.get("quantity", {}).get("value", 1), f"{place}.quantity")
    return rounded(price.amount * factor * quantity, price.currency)


def _number(value: object, place: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise MoneyFault(f"{place} is no number", expression=place)
    return Decimal(value)


def _same(money: Money, currency: str, place: str) -> Money:
    if money.currency != currency:
        text = f"{money.currency} here, {currency} elsewhere in the claim: a claim is in one currency"
        raise MoneyFault(text, expression=f"{place}.currency")
    return money


def _quantity(item: Mapping[str, Any], place: str, faults: _Faults) -> Decimal | None:
    value = item.get("quantity", {}).get("value", 1)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not value > 0:
        faults.add("a quantity is above zero", f"{place}.quantity.value", "value")
        return None
    return Decimal(value)


def _serviced(claim: Mapping[str, Any], item: Mapping[str, Any], place: str, faults: _Faults) -> date | None:
    text = item.get("servicedDate") or item.get("servicedPeriod", {}).get("start")
    text = text or claim.get("billablePeriod", {}).get("start")
    if not text and claim.get("use") == "preauthorization":
        text = claim.get("created")
    if not text:
        faults.add("neither the item nor the claim says when the service was", f"{place}.servicedDate", "required")
        return None
    return day_of(text, date.max)


def _diagnoses(claim: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[str]:
    wanted = item.get("diagnosisSequence")
    for each in claim.get("diagnosis", ()):
        if not wanted or each.get("sequence") in wanted:
            yield from codes_of(each.get("diagnosisCodeableConcept", {}))


def _authorization(claim: Mapping[str, Any]) -> str:
    given = [ref for each in claim.get("insurance", ()) if each.get("focal") for ref in each.get("preAuthRef", ())]
    return str(given[0]) if given else ""


def _total(claim: Mapping[str, Any], lines: Sequence[Line], currency: str, faults: _Faults) -> Money:
    summed = Money(sum((each.charge for each in lines), Decimal(0)), currency)
    given = claim.get("total")
    if given is None or faults.issues:
        return summed
    total = faults.of(lambda: money_of(given, place="Claim.total"))
    if total is not None and total != summed:
        faults.add(f"the total is {total}, but the items make {summed}", "Claim.total", "value")
    return total or summed


def _related(claim: Mapping[str, Any], faults: _Faults) -> Iterator[tuple[str, str]]:
    for index, each in enumerate(claim.get("related", ())):
        codes = [coding.get("code", "") for coding in each.get("relationship", {}).get("coding", ())]
        relation = next((RELATIONS[code] for code in codes if code in RELATIONS), "associated" if not codes else "")
        if not relation:
            known = ", ".join(sorted(set(RELATIONS.values())))
            faults.add(f"relationship is one of {known}", f"Claim.related[{index}].relationship", "code-invalid")
        yield relation, str(each.get("claim", {}).get("reference", "")).rpartition("Claim/")[2]


def codes_of(concept: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the codings of a concept as `system|code`."""
    given = [(each.get("system", ""), each.get("code", "")) for each in concept.get("coding", ())]
    return tuple(f"{system}|{code}" if system else str(code) for system, code in given if code)


def _bare(codes: Sequence[str]) -> Iterator[str]:
    return (each.rpartition("|")[2] for each in codes)
