"""837P and 837I: claims of professionals (005010X222A1) and institutions (005010X223A2), built and parsed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

from fhir_billing.x12.envelope import Transaction
from fhir_billing.x12.segments import COMPONENT, Segment, component, composite, element, first, loops
from fhir_billing.x12.values import amount, day, number, whole, written

PROFESSIONAL: Final = "005010X222A1"
INSTITUTIONAL: Final = "005010X223A2"


@dataclass(frozen=True, slots=True)
class Party:
    """A person or an organization. kind: 1 person, 2 organization; address: N3 and N4 as they stand."""

    name: str
    identifier: str
    given: str = ""
    qualifier: str = "XX"
    kind: str = "2"
    tax: str = ""
    address: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """The insured person, who is the patient."""

    party: Party
    born: str = ""
    gender: str = "U"
    order: int = 1
    kind: str = "CI"
    group: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """One line. revenue: for institutions; earlier: what earlier payers paid, and adjustments by group and reason."""

    number: int
    code: str
    charge: Decimal
    quantity: Decimal
    serviced: date
    modifiers: tuple[str, ...] = ()
    pointers: tuple[int, ...] = ()
    revenue: str = ""
    earlier: "Earlier | None" = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier payer did with a line."""

    payer_id: str
    paid: Decimal
    adjustments: tuple[tuple[str, str, Decimal], ...]
    on: date


@dataclass(frozen=True, slots=True)
class Submitted:
    """One claim. frequency: 1 original, 7 replacement, 8 void; original: the payer's number of what it replaces."""

    number: str
    total: Decimal
    services: tuple[Service, ...]
    diagnoses: tuple[str, ...] = ()
    place: str = "11"
    frequency: str = "1"
    original: str = ""
    authorization: str = ""
    institutional: bool = False
    earlier_payer: Party | None = None
    earlier_paid: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Who claims from whom, for whom."""

    submitter: Party
    receiver: Party
    provider: Party
    subscriber: Subscriber
    payer: Party
    claims: tuple[Submitted, ...] = field(default_factory=tuple)


def build_837(batch: Batch, reference: str, made: tuple[str, str], control: str = "0001") -> Transaction:
    """Return the 837 of claims of one patient. made: day and time, CCYYMMDD and HHMM."""
    institutional = batch.claims[0].institutional
    guide = INSTITUTIONAL if institutional else PROFESSIONAL
    return Transaction("837", control, guide, tuple(_segments(batch, reference, made)))


def _segments(batch: Batch, reference: str, made: tuple[str, str]) -> Iterator[Segment]:
    yield ("BHT", "0019", "00", reference, *made, "CH")
    yield nm1("41", batch.submitter, "46")
    yield ("PER", "IC", batch.submitter.name, "TE", "0000000000")
    yield nm1("40", batch.receiver, "46")
    yield ("HL", "1", "", "20", "1")
    yield nm1("85", batch.provider)
    yield from batch.provider.address
    if batch.provider.tax:
        yield ("REF", "EI", batch.provider.tax)
    yield ("HL", "2", "1", "22", "0")
    yield from _subscriber(batch.subscriber)
    yield nm1("PR", batch.payer, "PI")
    for claim in batch.claims:
        yield from _claim(claim, batch.subscriber)


def nm1(entity: str, party: Party, qualifier: str = "") -> Segment:
    """Return an NM1."""
    used = qualifier or party.qualifier
    return ("NM1", entity, party.kind, party.name, party.given, "", "", "", used, party.identifier)


def _subscriber(subscriber: Subscriber) -> Iterator[Segment]:
    sequence = {1: "P", 2: "S"}.get(subscriber.order, "T")
    yield ("SBR", sequence, "18", subscriber.group, *[""] * 5, subscriber.kind)
    yield nm1("IL", subscriber.party, "MI")
    yield from subscriber.party.address
    if subscriber.born:
        yield ("DMG", "D8", subscriber.born, subscriber.gender)


def _claim(claim: Submitted, subscriber: Subscriber) -> Iterator[Segment]:
    place = composite(claim.place, "A" if claim.institutional else "B", claim.frequency)
    yes = ("", "A", "Y", "Y") if claim.institutional else ("Y", "A", "Y", "Y")
    yield ("CLM", claim.number, written(claim.total), "", "", place, *yes)
    if claim.institutional:
        days = sorted(each.serviced for each in claim.services)
        yield ("DTP", "434", "RD8", f"{days[0]:%Y%m%d}-{days[-1]:%Y%m%d}")
        yield ("CL1", "3", "1", "01")
    if claim.authorization:
        yield ("REF", "G1", claim.authorization)
    if claim.original:
        yield ("REF", "F8", claim.original)
    if claim.diagnoses:
        yield ("HI", *(composite("ABK" if not n else "ABF", code) for n, code in enumerate(claim.diagnoses[:12])))
    if claim.earlier_payer is not None:
        yield ("SBR", "P", "18", *[""] * 6, "CI")
        yield ("AMT", "D", written(claim.earlier_paid))
        yield ("OI", "", "", "Y", "", "", "Y")
        yield nm1("IL", subscriber.party, "MI")
        yield nm1("PR", claim.earlier_payer, "PI")
    for each in claim.services:
        yield from _service(each, institutional=claim.institutional)


def _service(line: Service, *, institutional: bool) -> Iterator[Segment]:
    yield ("LX", str(line.number))
    code = composite("HC", line.code, *line.modifiers)
    if institutional:
        yield ("SV2", line.revenue or "0300", code, written(line.charge), "UN", written(line.quantity))
    else:
        pointers = composite(*map(str, line.pointers[:4]))
        yield ("SV1", code, written(line.charge), "UN", written(line.quantity), "", "", pointers or "1")
    yield ("DTP", "472", "D8", f"{line.serviced:%Y%m%d}")
    yield ("REF", "6R", str(line.number))
    if line.earlier is not None:
        yield ("SVD", line.earlier.payer_id, written(line.earlier.paid), code, "", written(line.quantity))
        for group, reason, money in line.earlier.adjustments:
            yield ("CAS", group, reason, written(money))
        yield ("DTP", "573", "D8", f"{line.earlier.on:%Y%m%d}")


def parse_837(transaction: Transaction) -> Batch:
    """Return what an 837 asks. Raises BadElement."""
    segments = transaction.segments
    institutional = transaction.guide.startswith("005010X223")
    head = next((n for n, each in enumerate(segments) if each[0] == "CLM"), len(segments))
    before = segments[:head]
    sbr, dmg = first(before, "SBR"), first(before, "DMG")
    order = {"P": 1, "S": 2}.get(element(sbr, 1), 3)
    claims = tuple(_read_claim(loop, institutional=institutional) for loop in loops(segments, "CLM"))
    return Batch(
        party(before, "41"), party(before, "40"), party(before, "85"),
        Subscriber(
            party(before, "IL"), element(dmg, 2), element(dmg, 3) or "U", order, element(sbr, 9), element(sbr, 3)
        ),
        party(before, "PR"), claims,
    )  # fmt: skip


def party(segments: Sequence[Segment], entity: str) -> Party:
    """Return who an NM1 names, with the address and tax number that follow it."""
    start = next((n for n, each in enumerate(segments) if each[0] == "NM1" and element(each, 1) == entity), None)
    if start is None:
        return Party("", "")
    found, after = segments[start], []
    for each in segments[start + 1 :]:
        if each[0] not in ("N3", "N4", "REF", "PER", "PRV"):
            break
        after.append(each)
    return Party(
        element(found, 3), element(found, 9), element(found, 4), element(found, 8), element(found, 2),
        element(first(after, "REF", "EI"), 2), tuple(each for each in after if each[0] in ("N3", "N4")),
    )  # fmt: skip


def _read_claim(loop: Sequence[Segment], *, institutional: bool) -> Submitted:
    clm, services = loop[0], list(loops(loop, "LX"))
    own = loop[: len(loop) - sum(map(len, services))]
    place = element(clm, 5)
    hi = first(own, "HI")
    other = party(own, "PR")
    return Submitted(
        number=element(clm, 1),
        total=amount(element(clm, 2)),
        services=tuple(_read_service(each) for each in services),
        diagnoses=tuple(component(each, 2) for each in hi[1:]),
        place=component(place, 1),
        frequency=component(place, 3),
        original=element(first(own, "REF", "F8"), 2),
        authorization=element(first(own, "REF", "G1"), 2),
        institutional=institutional,
        earlier_payer=other if other.identifier else None,
        earlier_paid=amount(element(first(own, "AMT", "D"), 2)),
    )


def _read_service(loop: Sequence[Segment]) -> Service:
    sv1, sv2, svd = first(loop, "SV1"), first(loop, "SV2"), first(loop, "SVD")
    professional = len(sv1) > 1
    code = element(sv1, 1) if professional else element(sv2, 2)
    pointers = element(sv1, 7) if professional else ""
    return Service(
        number=whole(element(loop[0], 1)),
        code=component(code, 2),
        charge=amount(element(sv1, 2) if professional else element(sv2, 3)),
        quantity=number(element(sv1, 4) if professional else element(sv2, 5)),
        serviced=day(element(first(loop, "DTP", "472"), 3)) or date.min,
        modifiers=tuple(each for each in code.split(COMPONENT)[2:6] if each),
        pointers=tuple(int(each) for each in pointers.split(COMPONENT) if each.isdigit()),
        revenue="" if professional else element(sv2, 1),
        earlier=_read_earlier(loop, svd) if len(svd) > 1 else None,
    )


def _read_earlier(loop: Sequence[Segment], svd: Segment) -> Earlier:
    adjustments = tuple(
        (element(each, 1), element(each, number), amount(element(each, number + 1)))
        for each in loop
        if each[0] == "CAS"
        for number in range(2, len(each), 3)
    )
    on = day(element(first(loop, "DTP", "573"), 3)) or date.min
    return Earlier(element(svd, 1), amount(element(svd, 2)), adjustments, on)
