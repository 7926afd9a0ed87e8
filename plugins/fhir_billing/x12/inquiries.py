"""270/271 (eligibility, 005010X279A1), 276/277 (status, 005010X212) and 278 (authorization, 005010X217)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from fhir_billing.x12.claim import Party, Service, Subscriber, nm1, party
from fhir_billing.x12.envelope import Transaction
from fhir_billing.x12.segments import Segment, component, composite, element, first, loops
from fhir_billing.x12.values import amount, day, number, written

ELIGIBILITY: Final = "005010X279A1"
STATUS: Final = "005010X212"
SERVICES: Final = "005010X217"
BENEFITS: Final = {
    "1": "active",
    "6": "inactive",
    "A": "coinsurance",
    "B": "copay",
    "C": "deductible",
    "F": "limit",
    "G": "out-of-pocket",
}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks whom about whom."""

    payer: Party
    provider: Party
    subscriber: Subscriber


@dataclass(frozen=True, slots=True)
class Benefit271:
    """One EB: what it is (active, deductible ...), money or percent, and whether it is what is left of it."""

    kind: str
    money: Decimal | None = None
    percent: Decimal | None = None
    remaining: bool = False
    plan: str = ""
    service: str = "30"


def build_270(asker: Asker, reference: str, made: tuple[str, str], on: date, control: str = "0001") -> Transaction:
    """Return a question about eligibility."""
    segments: list[Segment] = [
        ("BHT", "0022", "13", reference, *made),
        ("HL", "1", "", "20", "1"), nm1("PR", asker.payer, "PI"),
        ("HL", "2", "1", "21", "1"), nm1("1P", asker.provider),
        ("HL", "3", "2", "22", "0"), ("TRN", "1", reference, "9FHIRSERVER"), nm1("IL", asker.subscriber.party, "MI"),
    ]  # fmt: skip
    if asker.subscriber.born:
        segments.append(("DMG", "D8", asker.subscriber.born, asker.subscriber.gender))
    segments += [("DTP", "291", "D8", f"{on:%Y%m%d}"), ("EQ", "30")]
    return Transaction("270", control, ELIGIBILITY, tuple(segments))


def build_271(
    asker: Asker, reference: str, made: tuple[str, str], benefits: Sequence[Benefit271], rejected: str = ""
) -> Transaction:
    """Return the answer to a question about eligibility; rejected: reason code of an AAA."""
    segments: list[Segment] = [
        ("BHT", "0022", "11", reference, *made),
        ("HL", "1", "", "20", "1"), nm1("PR", asker.payer, "PI"),
        ("HL", "2", "1", "21", "1"), nm1("1P", asker.provider),
        ("HL", "3", "2", "22", "0"), ("TRN", "2", reference, "9FHIRSERVER"), nm1("IL", asker.subscriber.party, "MI"),
    ]  # fmt: skip
    if rejected:
        segments.append(("AAA", "N", "", rejected, "C"))
    codes = {name: code for code, name in BENEFITS.items()}
    for each in benefits:
        period = "29" if each.remaining else "23"
        money = "" if each.money is None else written(each.money)
        percent = "" if each.percent is None else written(each.percent / 100)
        segments.append(("EB", codes[each.kind], "IND", each.service, "", each.plan, period, money, percent))
    return Transaction("271", "0001", ELIGIBILITY, tuple(segments))


def read_asker(transaction: Transaction) -> tuple[Asker, str]:
    """Return who asks, and the number of the question."""
    segments = transaction.segments
    dmg = first(segments, "DMG")
    subscriber = Subscriber(party(segments, "IL"), element(dmg, 2), element(dmg, 3) or "U")
    return Asker(party(segments, "PR"), party(segments, "1P"), subscriber), element(first(segments, "TRN"), 2)


def read_271(transaction: Transaction) -> tuple[list[Benefit271], list[str]]:
    """Return the benefits of an answer, and the codes of what was rejected (AAA)."""
    found = []
    for each in transaction.segments:
        if each[0] == "EB" and element(each, 1) in BENEFITS:
            money, percent = element(each, 7), element(each, 8)
            found.append(
                Benefit271(
                    BENEFITS[element(each, 1)], amount(money) if money else None,
                    number(percent) * 100 if percent else None, element(each, 6) == "29", element(each, 5),
                    element(each, 3),
                )
            )  # fmt: skip
    return found, [element(each, 3) for each in transaction.segments if each[0] == "AAA"]


@dataclass(frozen=True, slots=True)
class Status:
    """Where a claim stands: category (A4 not found, P1 pending, F1 paid, F2 denied), status code, payer's number."""

    claim: str
    category: str
    code: str = "20"
    payer_control: str = ""
    charged: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)

    @property
    def not_found(self) -> bool:
        """Whether the payer says that it does not have the claim."""
        return self.category in ("A4", "D0")

    @property
    def refused(self) -> bool:
        """Whether the payer rejected it before deciding."""
        return self.category in ("A3", "A6", "A7", "A8")

    @property
    def final(self) -> bool:
        """Whether it is decided; the 835 says how."""
        return self.category.startswith("F")


def build_276(
    asker: Asker, claim: str, made: tuple[str, str], charged: Decimal, days: tuple[date, date], known: str = ""
) -> Transaction:
    """Return a question about a claim. known: what the payer calls it."""
    segments: list[Segment] = [
        ("BHT", "0010", "13", claim[:50], *made),
        ("HL", "1", "", "20", "1"), nm1("PR", asker.payer, "PI"),
        ("HL", "2", "1", "21", "1"), nm1("41", asker.provider, "46"),
        ("HL", "3", "2", "19", "1"), nm1("1P", asker.provider),
        ("HL", "4", "3", "22", "0"), nm1("IL", asker.subscriber.party, "MI"), ("TRN", "1", claim),
    ]  # fmt: skip
    if known:
        segments.append(("REF", "1K", known))
    segments += [("AMT", "T3", written(charged)), ("DTP", "472", "RD8", f"{days[0]:%Y%m%d}-{days[1]:%Y%m%d}")]
    return Transaction("276", "0001", STATUS, tuple(segments))


def build_277(statuses: Sequence[Status], reference: str, made: tuple[str, str], asker: Asker) -> Transaction:
    """Return where claims stand."""
    segments: list[Segment] = [
        ("BHT", "0010", "08", reference[:50], *made, "DG"),
        ("HL", "1", "", "20", "1"), nm1("PR", asker.payer, "PI"),
        ("HL", "2", "1", "22", "0"), nm1("IL", asker.subscriber.party, "MI"),
    ]  # fmt: skip
    for each in statuses:
        segments.append(("TRN", "2", each.claim))
        code = composite(each.category, each.code)
        segments.append(("STC", code, made[0], "", written(each.charged), written(each.paid)))
        if each.payer_control:
            segments.append(("REF", "1K", each.payer_control))
    return Transaction("277", "0001", STATUS, tuple(segments))


def read_276(transaction: Transaction) -> tuple[str, str]:
    """Return our number and the payer's of the claim that is asked about."""
    return element(first(transaction.segments, "TRN"), 2), element(first(transaction.segments, "REF", "1K"), 2)


def read_277(transaction: Transaction) -> list[Status]:
    """Return where claims stand."""
    found = []
    for loop in loops(transaction.segments, "TRN"):
        stc = first(loop, "STC")
        found.append(
            Status(
                element(loop[0], 2), component(element(stc, 1), 1), component(element(stc, 1), 2),
                element(first(loop, "REF", "1K"), 2), amount(element(stc, 4)), amount(element(stc, 5)),
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a payer says to a request for authorization: A1 certified, A2 partly, A3 not, A4 pended, A6 modified."""

    action: str
    number: str = ""
    reason: str = ""
    until: date | None = None


def build_278(
    asker: Asker, reference: str, made: tuple[str, str], services: Sequence[Service], diagnoses: Sequence[str]
) -> Transaction:
    """Return a request for authorization of services."""
    segments: list[Segment] = [
        ("BHT", "0007", "13", reference[:50], *made),
        ("HL", "1", "", "20", "1"), nm1("X3", asker.payer, "PI"),
        ("HL", "2", "1", "21", "1"), nm1("1P", asker.provider),
        ("HL", "3", "2", "22", "1"), nm1("IL", asker.subscriber.party, "MI"),
        ("HL", "4", "3", "EV", "1"), ("TRN", "1", reference[:50], "9FHIRSERVER"), ("UM", "HS", "I", "3"),
    ]  # fmt: skip
    if diagnoses:
        segments.append(("HI", *(composite("ABK" if not n else "ABF", each) for n, each in enumerate(diagnoses[:12]))))
    for level, each in enumerate(services, 5):
        segments.append(("HL", str(level), "4", "SS", "0"))
        segments.append(("DTP", "472", "D8", f"{each.serviced:%Y%m%d}"))
        segments.append(
            ("SV1", composite("HC", each.code, *each.modifiers), written(each.charge), "UN", written(each.quantity))
        )
    return Transaction("278", "0001", SERVICES, tuple(segments))


def build_278_answer(reviewed: Reviewed, reference: str, made: tuple[str, str], asker: Asker) -> Transaction:
    """Return the answer to a request for authorization."""
    segments: list[Segment] = [
        ("BHT", "0007", "11", reference[:50], *made, "18"),
        ("HL", "1", "", "20", "1"), nm1("X3", asker.payer, "PI"),
        ("HL", "2", "1", "21", "1"), nm1("1P", asker.provider),
        ("HL", "3", "2", "22", "1"), nm1("IL", asker.subscriber.party, "MI"),
        ("HL", "4", "3", "EV", "0"), ("TRN", "2", reference[:50], "9FHIRSERVER"),
        ("HCR", reviewed.action, reviewed.number, reviewed.reason),
    ]  # fmt: skip
    if reviewed.until:
        segments.append(("DTP", "036", "D8", f"{reviewed.until:%Y%m%d}"))
    return Transaction("278", "0001", SERVICES, tuple(segments))


def read_278_answer(transaction: Transaction) -> Iterator[Reviewed]:
    """Yield what was said to each event of a request."""
    for each in transaction.segments:
        if each[0] == "HCR":
            until = day(element(first(transaction.segments, "DTP", "036"), 3))
            yield Reviewed(element(each, 1), element(each, 2), element(each, 3), until)
        elif each[0] == "AAA":
            yield Reviewed("AAA", "", element(each, 3))
