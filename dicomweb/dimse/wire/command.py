"""Command sets: the head of each DIMSE message, always in implicit VR little endian.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part07/chapter_E.html
"""

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final

from dicomweb.dimse.wire.faults import ProtocolFault

Value = int | str | tuple[int, ...]
Command = dict[str, Value]
"""The elements of a command set by keyword."""

NO_DATA: Final = 0x0101
"""The CommandDataSetType of a message without a data set."""

_TEXT: Final = "text"
_UID: Final = "uid"
_SHORT: Final = "short"
_TAGS: Final = "tags"

_ELEMENTS: Final[Mapping[str, tuple[int, str]]] = {
    "AffectedSOPClassUID": (0x0002, _UID),
    "RequestedSOPClassUID": (0x0003, _UID),
    "CommandField": (0x0100, _SHORT),
    "MessageID": (0x0110, _SHORT),
    "MessageIDBeingRespondedTo": (0x0120, _SHORT),
    "MoveDestination": (0x0600, _TEXT),
    "Priority": (0x0700, _SHORT),
    "CommandDataSetType": (0x0800, _SHORT),
    "Status": (0x0900, _SHORT),
    "OffendingElement": (0x0901, _TAGS),
    "ErrorComment": (0x0902, _TEXT),
    "ErrorID": (0x0903, _SHORT),
    "AffectedSOPInstanceUID": (0x1000, _UID),
    "RequestedSOPInstanceUID": (0x1001, _UID),
    "EventTypeID": (0x1002, _SHORT),
    "AttributeIdentifierList": (0x1005, _TAGS),
    "ActionTypeID": (0x1008, _SHORT),
    "NumberOfRemainingSuboperations": (0x1020, _SHORT),
    "NumberOfCompletedSuboperations": (0x1021, _SHORT),
    "NumberOfFailedSuboperations": (0x1022, _SHORT),
    "NumberOfWarningSuboperations": (0x1023, _SHORT),
    "MoveOriginatorApplicationEntityTitle": (0x1030, _TEXT),
    "MoveOriginatorMessageID": (0x1031, _SHORT),
}
_BY_ELEMENT: Final = {element: (keyword, kind) for keyword, (element, kind) in _ELEMENTS.items()}
_COMMENT: Final = 64
"""Characters of an ErrorComment: its VR is LO."""


class Field(IntEnum):
    """What a message is."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150


RESPONSE: Final = 0x8000
"""The bit of a CommandField that says that the message is a response."""


def encode(command: Mapping[str, Value]) -> bytes:
    """Return the bytes of a command set, its group length first."""
    elements = sorted((*_ELEMENTS[keyword], value) for keyword, value in command.items())
    body = b"".join(_element(number, _bytes_of(kind, value)) for number, kind, value in elements)
    return _element(0, struct.pack("<L", len(body))) + body


def decode(data: bytes) -> Command:
    """Return the elements of a command set; those it does not know are left out. Raises ProtocolFault."""
    try:
        return {
            _BY_ELEMENT[element][0]: _value_of(_BY_ELEMENT[element][1], value)
            for element, value in _elements(data)
            if element in _BY_ELEMENT
        }
    except struct.error as error:
        raise ProtocolFault("a command set ends within an element") from error


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        group, element, length = struct.unpack_from("<HHL", data, place)
        place += 8
        if group != 0 or place + length > len(data):
            raise ProtocolFault("a command set holds what is no command element")
        yield element, data[place : place + length]
        place += length


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, number, len(value)) + value


def _bytes_of(kind: str, value: Value) -> bytes:
    if kind == _SHORT:
        return struct.pack("<H", value)
    if isinstance(value, tuple):
        return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value)
    raw = str(value).encode("ascii", "replace")
    return raw + (b"\0" if kind == _UID else b" ") * (len(raw) % 2)


def _value_of(kind: str, raw: bytes) -> Value:
    if kind == _SHORT:
        return int(struct.unpack_from("<H", raw)[0])
    if kind == _TAGS:
        pairs = struct.iter_unpack("<HH", raw[: len(raw) // 4 * 4])
        return tuple(group << 16 | element for group, element in pairs)
    return raw.decode("ascii", "replace").strip(" \0")


def comment(text: str) -> str:
    """Return a reason as an ErrorComment can hold it: 64 characters of ASCII, and nothing that ends a value."""
    return text.replace("\\", "/").replace("\n", " ")[:_COMMENT]
