"""Answers of payers: a ClaimResponse read back as a result whose lines make up what was submitted.

What a payer does not explain is not guessed: it stays open as `OA 16`, for somebody to ask.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

from fhir_billing.adjudication.facts import PriorLine
from fhir_billing.adjudication.reasons import GROUPS, REASONS, Category
from fhir_billing.adjudication.results import ZERO, Adjustment, LineResult, Result, check, total
from fhir_billing.claims.codes import CARC, GROUP, OF_CODE
from fhir_billing.money import MoneyFault, money_of

_OF_NAME: dict[str, str] = {
    "deductible": "1", "coinsurance": "2", "copay": "3", "contractual": "45", "prior-payer": "23", "noncovered": "96",
    "payer-initiated": "104",
}  # fmt: skip


class Unreadable(Exception):
    """An answer that does not fit what was asked: other lines, another currency, more than was submitted."""


def result_of(answer: Mapping[str, Any], asked: Mapping[int, Decimal], currency: str) -> Result:
    """Return what a payer's ClaimResponse came to.

    Args:
        asked: what was submitted, by line.

    Raises:
        Unreadable: it cannot be an answer to this claim.
    """
    items = {int(each["itemSequence"]): each for each in answer.get("item", ())}
    if unknown := sorted(set(items) - set(asked)):
        raise Unreadable(f"the payer answers for lines that were not sent: {unknown}")
    if missing := sorted(set(asked) - set(items)):
        raise Unreadable(f"the payer does not answer for the lines {missing}")
    lines = tuple(_line(number, items[number], amount, currency) for number, amount in asked.items())
    return Result(currency, "", lines)


def _line(number: int, item: Mapping[str, Any], submitted: Decimal, currency: str) -> LineResult:
    paid, allowed, found = ZERO, None, list[Adjustment]()
    for each in item.get("adjudication", ()):
        name, amount = _name(each), _amount(each, currency)
        if name == "paid":
            paid += amount
        elif name == "allowed":
            allowed = amount
        elif name in _OF_NAME and amount:
            found.append(_adjustment(each, name, amount))
    rest = submitted - paid - total(one.amount for one in found)
    if rest < 0 or paid < 0 or any(one.amount < 0 for one in found):
        raise Unreadable(f"line {number}: paid and adjustments are more than the {submitted} that was submitted")
    if rest:
        found += _rest(rest, allowed, submitted, found)
    return check(LineResult(number, submitted, paid if allowed is None else allowed, paid, tuple(found)))


def _rest(rest: Decimal, allowed: Decimal | None, submitted: Decimal, found: list[Adjustment]) -> Iterator[Adjustment]:
    """Explain what the payer left out: what is over its allowed amount is contractual, the rest stays open."""
    contractual = any(each.category == "contractual" for each in found)
    if allowed is not None and not contractual and allowed and submitted - allowed == rest:
        yield Adjustment("CO", "contractual", "45", rest)
    else:
        yield Adjustment("OA", "noncovered", "16", rest)


def _name(adjudication: Mapping[str, Any]) -> str:
    codes = [each.get("code", "") for each in adjudication.get("category", {}).get("coding", ())]
    return next((OF_CODE[code] for code in codes if code in OF_CODE), "")


def _amount(adjudication: Mapping[str, Any], currency: str) -> Decimal:
    if "amount" not in adjudication:
        return ZERO
    try:
        money = money_of(adjudication["amount"], negative=True)
    except MoneyFault as error:
        raise Unreadable(str(error)) from None
    if money.currency != currency:
        raise Unreadable(f"the payer answers in {money.currency}, the claim is in {currency}")
    return money.amount


def _adjustment(adjudication: Mapping[str, Any], name: str, amount: Decimal) -> Adjustment:
    reason = adjudication.get("reason", {})
    codes = {each.get("system"): str(each.get("code", "")) for each in reason.get("coding", ())}
    code = codes.get(CARC, "") or _OF_NAME[name]
    known = REASONS.get(code, REASONS[_OF_NAME[name]])
    given = codes.get(GROUP, "")
    group = given if given in GROUPS else known.group
    return Adjustment(group, cast(Category, name), code, amount, str(reason.get("text", "")) or known.text)


def prior_of(answer: Mapping[str, Any], asked: Mapping[int, Decimal], currency: str) -> dict[int, PriorLine]:
    """Return what an earlier payer did with each line. Raises Unreadable."""
    return {line.sequence: PriorLine(line.paid, line.patient) for line in result_of(answer, asked, currency).lines}
