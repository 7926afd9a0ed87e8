"""Envelopes: ISA/IEA around GS/GE around ST/SE, with control numbers and counts that are held to the letter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from fhir_billing.x12.segments import COMPONENT, REPEAT, Delimiters, Segment, element

_ISA: Final = 106
_MOST_SEGMENTS: Final = 500_000
FUNCTIONAL: Final = {
    "837": "HC", "835": "HP", "270": "HS", "271": "HB", "276": "HR", "277": "HN", "278": "HI", "999": "FA",
}  # fmt: skip
"""Transaction sets to the codes of their groups (GS01)."""


class BadEnvelope(Exception):
    """An interchange that cannot be taken at all; note: the code of a TA1 for it."""

    def __init__(self, text: str, note: str = "022") -> None:
        super().__init__(text)
        self.note = note


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong within a transaction or group, as a 999 says it.

    level: transaction (IK5), segment (IK3), element (IK4) or group (AK9). code: that of the level. position: of the
    segment, counted from ST as 1. name: of the segment. place: number of the element.
    """

    level: Literal["transaction", "segment", "element", "group"]
    code: str
    text: str
    position: int = 0
    name: str = ""
    place: int = 0
    value: str = ""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One ST/SE: its kind (`837`), control number, guide (`005010X222A1`), and the segments between."""

    kind: str
    control: str
    guide: str
    segments: tuple[Segment, ...]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One GS/GE."""

    kind: str
    sender: str
    receiver: str
    made: datetime
    control: str
    guide: str
    transactions: tuple[Transaction, ...]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Interchange:
    """One ISA/IEA."""

    sender: str
    receiver: str
    made: datetime
    control: str
    groups: tuple[Group, ...]
    usage: str = "P"
    sender_kind: str = "ZZ"
    receiver_kind: str = "ZZ"
    acknowledge: bool = False
    delimiters: Delimiters = field(default_factory=Delimiters)

    @property
    def transactions(self) -> tuple[Transaction, ...]:
        """All transactions of all groups."""
        return tuple(each for group in self.groups for each in group.transactions)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All that is wrong."""
        of_groups = [fault for group in self.groups for fault in group.faults]
        return (*of_groups, *(fault for each in self.transactions for fault in each.faults))


def parse(raw: bytes) -> list[Interchange]:
    """Parse a file of interchanges. Faults within a group are noted there, for the 999.

    Raises:
        BadEnvelope: it is no interchange, or one whose ISA and IEA do not belong together.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadEnvelope("the file is no text") from error
    found = []
    rest = text.lstrip()
    while rest:
        interchange, rest = _one(rest)
        found.append(interchange)
        rest = rest.lstrip()
    if not found:
        raise BadEnvelope("the file is empty")
    return found


def _one(text: str) -> tuple[Interchange, str]:
    if not text.startswith("ISA") or len(text) < _ISA:
        raise BadEnvelope("an interchange begins with an ISA of 106 characters")
    delimiters = _delimiters(text)
    end = text.find(f"{delimiters.segment}", _iea(text, delimiters))
    if end < 0:
        raise BadEnvelope("the interchange has no IEA", "023")
    segments = [delimiters.read(each.strip("\r\n ")) for each in text[:end].split(delimiters.segment)]
    if len(segments) > _MOST_SEGMENTS:
        raise BadEnvelope(f"an interchange has at most {_MOST_SEGMENTS} segments")
    whole = [each for each in segments if each != ("",)]
    if len(whole) < 2:
        raise BadEnvelope("the interchange has no IEA", "023")
    isa, *inner, iea = whole
    groups = tuple(_groups(inner))
    control = element(isa, 13)
    if element(iea, 2) != control:
        raise BadEnvelope(f"ISA13 is {control}, IEA02 is {element(iea, 2)}", "001")
    if element(iea, 1) != str(len(groups)):
        raise BadEnvelope(f"IEA01 says {element(iea, 1)} groups, there are {len(groups)}", "021")
    made = _time(element(isa, 9), element(isa, 10), "%y%m%d%H%M", "014")
    found = Interchange(
        element(isa, 6).strip(), element(isa, 8).strip(), made, control, groups, element(isa, 15),
        element(isa, 5), element(isa, 7), element(isa, 14) == "1", delimiters,
    )  # fmt: skip
    return found, text[end + 1 :]


def _delimiters(text: str) -> Delimiters:
    between, component, segment = text[3], text[104], text[105]
    if text[:105].count(between) != 16:
        raise BadEnvelope("the ISA has 16 elements of fixed length")
    repeat = text[82]
    if not repeat.isalnum() and repeat not in (between, component, segment):
        after = text[106:108]
        line = after if after == "\r\n" else after[:1] if after[:1] == "\n" else ""
        try:
            return Delimiters(between, component, repeat, segment, line)
        except ValueError as error:
            raise BadEnvelope(str(error), "026") from error
    raise BadEnvelope("ISA11 is the repetition separator", "026")


def _iea(text: str, delimiters: Delimiters) -> int:
    """Return where the IEA of the first interchange begins, or past the end."""
    at = text.find("IEA" + delimiters.element)
    return at if at >= 0 else len(text)


def _groups(segments: Sequence[Segment]) -> Iterator[Group]:
    rest = list(segments)
    while rest:
        if rest[0][0] != "GS":
            raise BadEnvelope(f"a GS is expected, not {rest[0][0][:10]}")
        end = next((n for n, each in enumerate(rest) if each[0] == "GE"), None)
        if end is None:
            raise BadEnvelope("a group has no GE", "024")
        yield _group(rest[0], rest[1:end], rest[end])
        rest = rest[end + 1 :]


def _group(gs: Segment, inner: Sequence[Segment], ge: Segment) -> Group:
    transactions = tuple(_transactions(inner))
    faults = []
    if element(ge, 2) != element(gs, 6):
        faults.append(Fault("group", "4", f"GS06 is {element(gs, 6)}, GE02 is {element(ge, 2)}"))
    if element(ge, 1) != str(len(transactions)):
        faults.append(Fault("group", "5", f"GE01 says {element(ge, 1)} transactions, there are {len(transactions)}"))
    made = _time(element(gs, 4), element(gs, 5)[:4], "%Y%m%d%H%M", "022")
    return Group(
        element(gs, 1), element(gs, 2), element(gs, 3), made, element(gs, 6), element(gs, 8), transactions,
        tuple(faults),
    )  # fmt: skip


def _transactions(segments: Sequence[Segment]) -> Iterator[Transaction]:
    rest = list(segments)
    while rest:
        if rest[0][0] != "ST":
            raise BadEnvelope(f"an ST is expected, not {rest[0][0][:10]}")
        end = next((n for n, each in enumerate(rest[1:], 1) if each[0] in ("SE", "ST")), len(rest))
        closed = end < len(rest) and rest[end][0] == "SE"
        yield _transaction(rest[0], rest[1:end], rest[end] if closed else None)
        rest = rest[end + closed :]


def _transaction(st: Segment, inner: Sequence[Segment], se: Segment | None) -> Transaction:
    faults, count = [], len(inner) + 2
    if se is None:
        faults.append(Fault("transaction", "2", "the transaction has no SE"))
    else:
        if element(se, 2) != element(st, 2):
            faults.append(Fault("transaction", "3", f"ST02 is {element(st, 2)}, SE02 is {element(se, 2)}"))
        if element(se, 1) != str(count):
            faults.append(Fault("transaction", "4", f"SE01 says {element(se, 1)} segments, there are {count}"))
    return Transaction(element(st, 1), element(st, 2), element(st, 3), tuple(inner), tuple(faults))


def _time(day: str, hour: str, shape: str, note: str) -> datetime:
    try:
        return datetime.strptime(day + hour, shape)  # noqa: DTZ007  (X12 times have no zone)
    except ValueError:
        raise BadEnvelope(f"{day[:10]} {hour[:10]} is no time", note) from None


def build(interchange: Interchange) -> bytes:
    """Return the bytes of an interchange, its counts and control numbers filled in."""
    _hold(interchange)
    return "".join(map(interchange.delimiters.write, _all(interchange))).encode()


def _hold(interchange: Interchange) -> None:
    """Hold what has a fixed length to it. Raises ValueError."""
    for name, value, most in (
        ("sender", interchange.sender, 15), ("receiver", interchange.receiver, 15), ("control", interchange.control, 9),
    ):  # fmt: skip
        if not value or len(value) > most:
            raise ValueError(f"the {name} of an interchange has 1 to {most} characters")


def _all(interchange: Interchange) -> Iterator[Segment]:
    made = interchange.made
    yield (
        "ISA", "00", " " * 10, "00", " " * 10, interchange.sender_kind, interchange.sender.ljust(15),
        interchange.receiver_kind, interchange.receiver.ljust(15), f"{made:%y%m%d}", f"{made:%H%M}", REPEAT, "00501",
        interchange.control.rjust(9, "0"), "1" if interchange.acknowledge else "0", interchange.usage, COMPONENT,
    )  # fmt: skip
    for group in interchange.groups:
        yield (
            "GS", group.kind, group.sender, group.receiver, f"{group.made:%Y%m%d}", f"{group.made:%H%M}",
            group.control, "X", group.guide,
        )  # fmt: skip
        for each in group.transactions:
            yield ("ST", each.kind, each.control, each.guide)
            yield from each.segments
            yield ("SE", str(len(each.segments) + 2), each.control)
        yield ("GE", str(len(group.transactions)), group.control)
    yield ("IEA", str(len(interchange.groups)), interchange.control.rjust(9, "0"))


@dataclass(frozen=True, slots=True)
class Address:
    """Who sends to whom."""

    sender: str
    receiver: str
    usage: str = "P"


def wrap(address: Address, transactions: Sequence[Transaction], made: datetime, control: int) -> bytes:
    """Return an interchange with one group of transactions of one kind."""
    kind = FUNCTIONAL[transactions[0].kind]
    group = Group(
        kind, address.sender, address.receiver, made, str(control), transactions[0].guide, tuple(transactions)
    )
    number = str(control % 1_000_000_000).rjust(9, "0")
    return build(Interchange(address.sender, address.receiver, made, number, (group,), address.usage))
