"""X12: envelopes to the letter, each transaction there and back, faults as a 999 says them."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest
from fhir_billing.money import Money
from fhir_billing.x12.acknowledgment import acknowledge, read_999, refuse
from fhir_billing.x12.claim import Batch, Earlier, Party, Service, Submitted, Subscriber, build_837, parse_837
from fhir_billing.x12.envelope import Address, BadEnvelope, Group, Interchange, Transaction, build, parse, wrap
from fhir_billing.x12.inquiries import (
    Asker,
    Benefit271,
    Reviewed,
    Status,
    build_270,
    build_271,
    build_276,
    build_277,
    build_278,
    build_278_answer,
    read_271,
    read_276,
    read_277,
    read_278_answer,
    read_asker,
)
from fhir_billing.x12.remittance import (
    Adjusted,
    BadRemittance,
    Paid,
    PaidLine,
    Remittance,
    build_835,
    parse_835,
    remittance,
)
from fhir_billing.x12.segments import COMPONENT, Delimiters
from fhir_billing.x12.shapes import check
from fhir_billing.x12.values import BadElement
from hypothesis import given
from hypothesis import strategies as st

MADE, TIMES = datetime(2026, 3, 10, 12, 30), ("20260310", "1230")  # noqa: DTZ001
ADDRESS = Address("SENDER", "RECEIVER", "T")
DAY = date(2026, 3, 2)


def usd(text: str) -> Money:
    return Money(Decimal(text), "USD")


ISA = "ISA*00*          *00*          *ZZ*60054          *ZZ*CLINIC         *260310*1230*^*00501*000000905*0*P*:~"
REMITTANCE = f"""{ISA}
GS*HP*60054*CLINIC*20260310*1230*905*X*005010X221A1~
ST*835*0001*005010X221A1~
BPR*I*110.2*C*ACH*CCP*01*999999999*DA*123456*1512345678**01*999988880*DA*98765*20260316~
TRN*1*12345*1512345678~
N1*PR*DENTAL OF ABC*XV*60054~
N1*PE*CLINIC*XX*1234567893~
LX*1~
CLP*C-1*1*200*110.2*89.8*12*94060555410000~
SVC*HC:99213:25*130*70.2**1~
DTM*472*20260302~
CAS*CO*45*0~
CAS*PR*1*20**2*9.8**3*30~
REF*6R*1~
SVC*HC:71046*70*40**1~
CAS*PR*2*30~
AMT*B6*70~
SE*16*0001~
GE*1*905~
IEA*1*000000905~
"""


def test_a_remittance_is_read_with_all_its_reasons() -> None:
    [found] = parse_835(REMITTANCE.encode())
    assert (found.payer_id, found.trace, found.paid_on, found.total) == (
        "60054",
        "12345",
        date(2026, 3, 16),
        usd("110.20"),
    )
    [claim] = found.claims
    assert (claim.claim, claim.payer_control, claim.paid) == ("C-1", "94060555410000", usd("110.20"))
    first, second = claim.lines
    assert (first.code, first.modifiers, first.control, first.serviced) == ("99213", ("25",), "1", DAY)
    assert [(each.group, each.reason, str(each.amount.amount)) for each in first.adjustments] == [
        ("CO", "45", "0.00"), ("PR", "1", "20.00"), ("PR", "2", "9.80"), ("PR", "3", "30.00"),
    ]  # fmt: skip
    assert second.allowed == usd("70.00")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("BPR*I*110.2", "BPR*I*110.3", "claims are 110.20"),
        ("CAS*PR*2*30~", "CAS*PR*2*31~", "less adjustments of 90.80"),
        ("SE*16*0001", "SE*17*0001", "SE01 says 17 segments, there are 16"),
        ("SE*16*0001", "SE*16*0002", "ST02 is 0001, SE02 is 0002"),
        ("GE*1*905", "GE*2*905", "GE01 says 2"),
        ("GE*1*905", "GE*1*906", "GE02 is 906"),
        ("IEA*1*", "IEA*2*", "IEA01 says 2 groups"),
        ("IEA*1*000000905", "IEA*1*000000906", "IEA02 is 000000906"),
        ("SVC*HC:71046*70*40", "SVC*HC:71046*7O*40", "SVC02 is no number"),
        ("SVC*HC:71046*70*40", "SVC*HC:71046*NaN*40", "SVC02 is no number"),
        ("ST*835", "ST*834", "835|transactions"),
    ],
)
def test_a_remittance_that_does_not_sum_up_is_not_posted(before: str, after: str, said: str) -> None:
    good = REMITTANCE
    assert before in good
    if after == "ST*834":
        assert parse_835(good.replace(before, after).encode()) == []
        return
    with pytest.raises(BadRemittance, match=said):
        parse_835(good.replace(before, after).encode())


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "empty"),
        (b"hello", "begins with an ISA"),
        (b"\xff\xfe", "no text"),
        (REMITTANCE.split("IEA")[0].encode(), "no IEA"),
        (REMITTANCE.replace("GE*1*905~\n", "").encode(), "no GE"),
        (REMITTANCE.replace("*260310*1230*^", "*269910*1230*^").encode(), "no time"),
        (REMITTANCE.replace("*^*", "*:*").encode(), "ISA11"),
        (REMITTANCE.replace("ST*835", "XX*835").encode(), "an ST is expected"),
    ],
)
def test_what_is_no_interchange_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(BadEnvelope, match=said):
        parse(raw)


TEXT = st.text("ABCXYZ 0123456789.-/", min_size=1, max_size=12).map(lambda text: text.strip() or "X")
ELEMENT = st.one_of(st.just(""), TEXT, st.lists(TEXT, min_size=2, max_size=3).map(COMPONENT.join))
SEGMENT = st.tuples(st.sampled_from(("REF", "NM1", "HI")), st.lists(ELEMENT, max_size=5), TEXT).map(
    lambda parts: (parts[0], *parts[1], parts[2])
)


@given(
    st.lists(st.lists(SEGMENT, min_size=1, max_size=6).map(tuple), min_size=1, max_size=3),
    st.sampled_from((Delimiters(), Delimiters("|", ">", "!", "\n"), Delimiters(line="\r\n"))),
)
def test_what_is_written_is_what_is_read(bodies: list[tuple[tuple[str, ...], ...]], delimiters: Delimiters) -> None:
    transactions = tuple(Transaction("837", f"{n:04d}", "G", body) for n, body in enumerate(bodies, 1))
    group = Group("HC", "S", "R", MADE, "7", "G", transactions)
    interchange = Interchange("S", "R", MADE, "000000007", (group,), "T", delimiters=delimiters)
    raw = build(interchange)
    assert parse(raw) == [interchange]
    assert build(parse(raw)[0]) == raw
    assert parse(raw + b"\n" + raw) == [interchange, interchange]


CLAIM = Submitted(
    "C-1",
    Decimal("175.50"),
    (
        Service(1, "99213", Decimal("130.50"), Decimal(1), DAY, ("25",), (1, 2)),
        Service(
            2,
            "97110",
            Decimal("45.00"),
            Decimal("1.5"),
            DAY,
            (),
            (1,),
            "",
            Earlier("00430", Decimal("20.00"), (("CO", "45", Decimal("15.00")), ("PR", "2", Decimal("10.00"))), DAY),
        ),
    ),
    ("J069", "R05"),
    "11",
    "7",
    "PAYER-9",
    "PA1",
    False,
    Party("MEDICARE", "00430", "", "PI"),
    Decimal("20.00"),
)
BATCH = Batch(
    Party("CLINIC", "SENDER", "", "46"), Party("PAYER", "RECEIVER", "", "46"),
    Party("CLINIC", "1234567893", "", "XX", "2", "123456789", (("N3", "1 MAIN ST"), ("N4", "AUSTIN", "TX", "78701"))),
    Subscriber(Party("DOE", "M123", "JANE", "MI", "1"), "19850401", "F", 2, "CI", ""),
    Party("PAYER", "60054", "", "PI"), (CLAIM,),
)  # fmt: skip


def test_claims_go_there_and_back() -> None:
    built = build_837(BATCH, "REF1", TIMES)
    assert not check(built)
    [again] = parse(wrap(ADDRESS, [built], MADE, 1))[0].transactions
    assert again == built
    assert parse_837(again) == BATCH
    lines = tuple(replace(each, revenue="0300", pointers=(), earlier=None) for each in CLAIM.services)
    hospital = replace(
        CLAIM, institutional=True, place="13", services=lines, earlier_payer=None, earlier_paid=Decimal("0.00")
    )
    batch = replace(BATCH, claims=(hospital,))
    institutional = build_837(batch, "REF2", TIMES)
    assert institutional.guide == "005010X223A2"
    assert not check(institutional)
    assert parse_837(institutional) == batch


def test_remittances_go_there_and_back() -> None:
    line = PaidLine(
        "99213",
        ("25",),
        usd("130.00"),
        usd("70.00"),
        (Adjusted("CO", "45", usd("30.00")), Adjusted("PR", "3", usd("30.00"))),
        usd("100.00"),
        DAY,
        "1",
    )
    claim = Paid("C-1", "1", usd("130.00"), usd("70.00"), usd("30.00"), "P-1", (), (line,))
    found = Remittance(
        "PAYER", "60054", "CLINIC", "1234567893", "T1", DAY, usd("65.00"), (claim,), (("WO", "OLD", usd("5.00")),)
    )
    built = build_835(found)
    assert not check(built)
    assert parse_835(wrap(ADDRESS, [built], MADE, 9)) == [found]


ASKER = Asker(
    Party("PAYER", "60054", "", "PI"),
    Party("CLINIC", "1234567893"),
    Subscriber(Party("DOE", "M123", "JANE", "MI", "1"), "19850401", "F"),
)


def test_inquiries_go_there_and_back() -> None:
    asked = build_270(ASKER, "Q1", TIMES, DAY)
    assert not check(asked)
    assert read_asker(asked) == (ASKER, "Q1")
    benefits = [
        Benefit271("active", plan="PPO"), Benefit271("deductible", Decimal("500.00")),
        Benefit271("deductible", Decimal("45.00"), remaining=True), Benefit271("coinsurance", percent=Decimal(20)),
    ]  # fmt: skip
    answer = build_271(ASKER, "Q1", TIMES, benefits)
    assert not check(answer)
    assert read_271(answer) == (benefits, [])
    assert read_271(build_271(ASKER, "Q1", TIMES, [], "75")) == ([], ["75"])
    status = build_276(ASKER, "C-1", TIMES, Decimal("130.00"), (DAY, DAY), "P-1")
    assert not check(status)
    assert read_276(status) == ("C-1", "P-1")
    statuses = [
        Status("C-1", "F1", "65", "P-1", Decimal("130.00"), Decimal("70.00")),
        Status("C-2", "A4", "35", "", Decimal("0.00"), Decimal("0.00")),
    ]
    told = build_277(statuses, "S1", TIMES, ASKER)
    assert not check(told)
    assert read_277(told) == statuses
    assert [each.not_found for each in statuses] == [False, True]
    request = build_278(ASKER, "A1", TIMES, CLAIM.services, ("J069",))
    assert not check(request)
    reviewed = Reviewed("A1", "AUTH9", "", date(2026, 6, 1))
    assert list(read_278_answer(build_278_answer(reviewed, "A1", TIMES, ASKER))) == [reviewed]


def test_a_999_takes_what_is_good_and_names_what_is_not() -> None:
    good = build_837(BATCH, "REF1", TIMES)
    segments = [each for each in good.segments if each[0] != "SBR"]
    place = next(n for n, each in enumerate(segments) if each[0] == "CLM")
    segments[place] = ("CLM", "C-1", "12x", *segments[place][3:])
    bad = Transaction("837", "0002", good.guide, tuple(segments))
    strange = Transaction("834", "0003", "", (("BGN", "00"),))
    raw = wrap(ADDRESS, [good, bad, strange], MADE, 3)
    [interchange] = parse(acknowledge(parse(raw)[0], MADE, 4))
    assert (interchange.sender, interchange.receiver) == ("RECEIVER", "SENDER")
    [ack] = interchange.transactions
    assert not check(ack)
    first, second, third = read_999(ack)
    assert first.taken and first.control == "0001"
    assert not second.taken
    assert second.faults == (
        f"segment SBR at {len(segments) + 2}: code 3",
        f"segment CLM at {place + 2}: code 8, element 2: code 6",
    )
    assert not third.taken
    assert ("AK9", "P", "3", "3", "1") in ack.segments


def test_what_cannot_be_opened_gets_a_ta1() -> None:
    broken = REMITTANCE.replace("IEA*1*000000905", "IEA*1*000000906").encode()
    with pytest.raises(BadEnvelope) as caught:
        parse(broken)
    ta1 = refuse(broken, caught.value, MADE).decode()
    assert "~TA1*000000905*260310*1230*R*001~" in ta1
    assert len(ta1.split("~")[0]) == 105
    assert refuse(b"no", caught.value, MADE) == b""


def test_delimiters_within_values_do_no_harm() -> None:
    segment = ("NM1", "IL", "1", "O*NEIL~", "A:B")
    assert Delimiters().write(segment) == "NM1*IL*1*O NEIL *A B~"


@given(st.data())
def test_damaged_files_are_refused_and_never_misread(data: st.DataObject) -> None:
    claims = wrap(ADDRESS, [build_837(BATCH, "R", TIMES)], MADE, 3)
    raw = bytearray(data.draw(st.sampled_from((REMITTANCE.encode(), claims))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = parse(bytes(raw))
    except BadEnvelope as error:
        refuse(bytes(raw), error, MADE)
        return
    for interchange in found:
        acknowledge(interchange, MADE, 1)
        for transaction in interchange.transactions:
            if not check(transaction):
                try:
                    remittance(transaction) if transaction.kind == "835" else parse_837(transaction)
                except (BadRemittance, BadElement):
                    continue
