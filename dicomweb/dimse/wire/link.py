"""Link: PDUs on a connection, within limits of size and time.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part08/sect_9.3.html
"""

import asyncio
import struct
from collections.abc import Iterable
from contextlib import suppress
from enum import IntEnum
from typing import Final

from dicomweb.dimse.wire.faults import Aborted, ProtocolFault

_UNRECOGNIZED: Final = 1
_INVALID: Final = 6
_GREETING: Final = 1 << 20
"""Bytes that a PDU other than data may have: an A-ASSOCIATE with 128 contexts has less."""
_LINGER: Final = 2.0


class Pdu(IntEnum):
    """Types of PDUs."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Link:
    """One connection.

    Args:
        largest: bytes that a data PDU may have at most.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, largest: int) -> None:
        self._reader, self._writer, self._largest = reader, writer, largest

    async def read(self, within: float | None) -> tuple[int, bytes]:
        """Return the next PDU: its type and body.

        Raises:
            Aborted: nobody is there any more, or nothing came in time.
            ProtocolFault: what comes is no PDU that may be here.
        """
        try:
            async with asyncio.timeout(within):
                kind, length = struct.unpack(">BxL", await self._reader.readexactly(6))
                if not Pdu.ASSOCIATE_RQ <= kind <= Pdu.ABORT:
                    raise ProtocolFault(f"there is no PDU of type {kind}", _UNRECOGNIZED)
                if length > (self._largest if kind == Pdu.DATA else _GREETING):
                    raise ProtocolFault(f"a PDU of {length} bytes is larger than was agreed on", _INVALID)
                return kind, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Aborted("the connection was closed") from error
        except TimeoutError as error:
            raise Aborted(f"nothing came for {within or 0:g} seconds") from error
        except OSError as error:
            raise Aborted(f"the connection has failed: {error.strerror or 'no reason'}") from error

    async def write(self, kind: Pdu, body: bytes, within: float) -> None:
        """Send a PDU. Raises Aborted: nobody takes it."""
        await self.write_parts((struct.pack(">BxL", kind, len(body)), body), within)

    async def write_parts(self, parts: Iterable[bytes | memoryview], within: float) -> None:
        """Send bytes that are whole PDUs. Raises Aborted: nobody takes them."""
        try:
            self._writer.writelines(parts)
            async with asyncio.timeout(within):
                await self._writer.drain()
        except TimeoutError as error:
            self._writer.transport.abort()
            raise Aborted(f"nothing was taken for {within:g} seconds") from error
        except OSError as error:
            raise Aborted("the connection was closed") from error

    async def say_abort(self, source: int, reason: int) -> None:
        """Send A-ABORT; whether it arrives does not matter. source 0: the user of the service, 2: its provider."""
        with suppress(Aborted):
            await self.write(Pdu.ABORT, bytes((0, 0, source, reason)), _LINGER)

    async def close(self) -> None:
        """Close the connection, when what was sent has gone out or nobody takes it."""
        with suppress(OSError, TimeoutError):
            self._writer.close()
            async with asyncio.timeout(_LINGER):
                await self._writer.wait_closed()
        self._writer.transport.abort()
