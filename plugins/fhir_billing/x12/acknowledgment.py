"""999 and TA1: what was taken of an interchange, and what was wrong with the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fhir_billing.x12.envelope import Address, BadEnvelope, Fault, Group, Interchange, Transaction, wrap
from fhir_billing.x12.segments import Segment, element, first
from fhir_billing.x12.shapes import check

GUIDE = "005010X231A1"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a 999 says of one transaction: whether it was taken, and what was wrong in words."""

    control: str
    taken: bool
    faults: tuple[str, ...] = ()


def acknowledge(interchange: Interchange, made: datetime, control: int) -> bytes:
    """Return the 999 for an interchange, with a transaction for each of its groups."""
    transactions = [
        Transaction("999", str(number).rjust(4, "0"), GUIDE, tuple(_group(group)))
        for number, group in enumerate(interchange.groups, 1)
    ]
    return wrap(Address(interchange.receiver, interchange.sender, interchange.usage), transactions, made, control)


def _group(group: Group) -> Iterator[Segment]:
    yield ("AK1", group.kind, group.control, group.guide)
    taken = 0
    for each in group.transactions:
        faults = check(each)
        taken += not faults
        yield from _transaction(each, faults)
    count = len(group.transactions)
    code = "R" if not taken or group.faults else "A" if taken == count else "P"
    yield (
        "AK9",
        code,
        str(count),
        str(count),
        str(0 if group.faults else taken),
        *(each.code for each in group.faults),
    )


def _transaction(transaction: Transaction, faults: Sequence[Fault]) -> Iterator[Segment]:
    yield ("AK2", transaction.kind, transaction.control, transaction.guide)
    for each in faults:
        if each.level == "segment":
            yield ("IK3", each.name, str(each.position), "", each.code)
        elif each.level == "element":
            yield ("IK3", each.name, str(each.position), "", "8")
            yield ("IK4", str(each.place), "", each.code, each.value[:99])
    codes = [each.code for each in faults if each.level == "transaction"]
    below = [each for each in faults if each.level != "transaction"]
    yield ("IK5", "R" if faults else "A", *codes[:4], *(["5"] if below else []))


def refuse(raw: bytes, error: BadEnvelope, made: datetime) -> bytes:
    """Return the TA1 for what is no interchange, as far as its ISA can be read."""
    isa = raw[:106].decode("utf-8", "replace")
    parts = isa.split(isa[3]) if len(isa) > 3 and isa.startswith("ISA") else []
    if len(parts) < 14:
        return b""
    sender, receiver, control = parts[8].strip(), parts[6].strip(), parts[13]
    ta1 = f"TA1*{control}*{parts[9]}*{parts[10]}*R*{error.note}~"
    head = (
        f"ISA*00*{'':10}*00*{'':10}*ZZ*{sender:15.15}*ZZ*{receiver:15.15}*{made:%y%m%d}*{made:%H%M}*^*00501*"
        f"{control:0>9.9}*0*P*:~"
    )
    return f"{head}{ta1}IEA*0*{control:0>9.9}~".encode()


def read_999(transaction: Transaction) -> list[Acknowledged]:
    """Return what a 999 says of each transaction; of a group that was refused as a whole, one without number."""
    found = []
    blocks: list[list[Segment]] = []
    for each in transaction.segments:
        if each[0] == "AK2":
            blocks.append([each])
        elif blocks and each[0] in ("IK3", "IK4", "IK5", "CTX"):
            blocks[-1].append(each)
    for block in blocks:
        found.append(_read(block))
    if not found and element(first(transaction.segments, "AK9"), 1) == "R":
        found.append(Acknowledged("", False, ("the group was refused as a whole",)))
    return found


def _read(block: Sequence[Segment]) -> Acknowledged:
    faults = []
    for each in block:
        if each[0] == "IK3":
            faults.append(f"segment {element(each, 1)} at {element(each, 2)}: code {element(each, 4)}")
        elif each[0] == "IK4":
            faults[-1:] = [f"{faults[-1] if faults else ''}, element {element(each, 1)}: code {element(each, 3)}"]
    code = element(first(block, "IK5"), 1)
    return Acknowledged(element(block[0], 2), code in ("A", "E"), tuple(faults))
