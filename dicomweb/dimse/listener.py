"""The listener: opens the ports, lets associations in and holds them to the limits."""

import asyncio
import hashlib
import logging
import ssl
from contextlib import AsyncExitStack
from typing import Final

from dicomweb.dimse.admission import Admission, Drops, Peer
from dicomweb.dimse.handshake import Handshakes
from dicomweb.dimse.numbers import NUMBERS
from dicomweb.dimse.services import SERVICES
from dicomweb.dimse.session import Session, converse
from dicomweb.dimse.tables import tables_of
from dicomweb.dimse.tls import server_tls
from dicomweb.dimse.wire import accepting
from dicomweb.dimse.wire.accepting import BUFFER, Rejection
from dicomweb.dimse.wire.association import Patience
from dicomweb.dimse.wire.faults import Ended, ProtocolFault
from dicomweb.dimse.wire.link import Link
from dicomweb.dimse.wire.negotiation import Request
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import Host

_log = logging.getLogger("dicomweb.dimse")
_PROVIDER: Final = 2


class Listener:
    """Takes calls for as long as `run` does."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings: DicomSettings = host.settings
        loop = asyncio.get_running_loop()
        tables = tables_of(host)
        self._admission = Admission(self._settings, tables, host.asks_for_tokens, loop.time)
        self._drops = Drops(loop.time)
        self._queries = asyncio.Semaphore(self._settings.dimse_queries)
        self._patience = Patience(self._settings.dimse_idle, self._settings.dimse_stalled)
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen, until cancelled."""
        settings = self._settings
        ports: list[tuple[int, ssl.SSLContext | None]] = []
        if settings.dimse_port:
            ports.append((settings.dimse_port, None))
        if settings.dimse_tls_port:
            ports.append((settings.dimse_tls_port, server_tls(settings)))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._hang_up)
            for port, tls in ports:
                stack.push_async_callback(_closed, await self._listening(port, tls, stack))
            _log.info("AEs may call %s at %s", settings.dimse_title, ", ".join(str(port) for port, _ in ports))
            NUMBERS.listening = True
            stack.callback(_deaf)
            await asyncio.Event().wait()

    async def _listening(self, port: int, tls: ssl.SSLContext | None, stack: AsyncExitStack) -> asyncio.Server:
        address = self._settings.dimse_address
        if tls is None:
            return await asyncio.start_server(self._connected, address, port, limit=BUFFER)
        handshakes = Handshakes(tls, self._settings.dimse_greeting, BUFFER, self._connected, self._not_secured)
        stack.push_async_callback(handshakes.end)
        return await handshakes.listen(address, port)

    def _not_secured(self, address: str, why: str, over: bool) -> None:
        NUMBERS.rejected()
        if (told := self._drops.told(why)) is not None:
            level = logging.INFO if over else logging.WARNING
            _log.log(level, "a TLS handshake with %s has failed: %s%s", address, why, told)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        address = str((writer.get_extra_info("peername") or ("",))[0])
        if (why := self._no_room(address)) is not None:
            NUMBERS.rejected()
            if (told := self._drops.told(why)) is not None:
                _log.warning("a connection from %s is closed at once: %s%s", address, why, told)
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(Link(reader, writer, self._settings.dimse_max_pdu), address, _shown(writer))
        except asyncio.CancelledError:
            _log.info("the connection from %s ends with the server", address)
            writer.transport.abort()
        finally:
            self._connections.discard(task)

    def _no_room(self, address: str) -> str | None:
        """Return why a connection is not even listened to; None: it is."""
        settings = self._settings
        if len(self._connections) >= settings.dimse_connections:
            return f"there are {settings.dimse_connections} already (dimse_connections)"
        if self._admission.called_too_often(address):
            return f"over {settings.dimse_calls_per_minute} in a minute (dimse_calls_per_minute)"
        return None

    async def _serve(self, link: Link, address: str, certificate: str) -> None:
        try:
            request = await accepting.requested(link, self._settings.dimse_greeting)
            peer = self._admission.who(request, address, certificate)
            why = peer if isinstance(peer, Rejection) else self._admission.crowded(peer)
            if isinstance(peer, Peer) and why is None:
                await self._converse(link, request, peer)
                return
            NUMBERS.rejected()
            _log.warning("a call of %r from %s is refused: %s", request.calling, address, why)
            await accepting.reject(link, why or accepting.UNKNOWN_CALLING, self._settings.dimse_greeting)
        except ProtocolFault as fault:
            NUMBERS.rejected()
            _log.warning("a call from %s is no DICOM: %s", address, fault)
            await link.say_abort(_PROVIDER, fault.reason)
        except Ended as end:  # whoever looks whether the port is open does the same
            NUMBERS.rejected()
            _log.info("a call from %s is over before it began: %s", address, end)
        except Exception:  # one call that fails must not go without a word
            NUMBERS.rejected()
            _log.exception("a call from %s has failed", address)
            await link.say_abort(_PROVIDER, 0)
        finally:
            await link.close()

    async def _converse(self, link: Link, request: Request, peer: Peer) -> None:
        answer = self._admission.answer(request, peer)
        self._admission.enter(peer)
        NUMBERS.began()
        try:
            association = await accepting.accept(link, request, answer, self._patience)
            session = Session(self._host, peer, association, self._queries, NUMBERS)
            await converse(session, SERVICES)
        finally:
            NUMBERS.open -= 1
            self._admission.leave(peer)

    async def _hang_up(self) -> None:
        """End what still goes on."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


async def listen(host: Host) -> None:
    """Take calls, until cancelled."""
    await Listener(host).run()


async def _closed(server: asyncio.Server) -> None:
    server.close()  # its connections are ended by _hang_up


def _deaf() -> None:
    NUMBERS.listening = False


def _shown(writer: asyncio.StreamWriter) -> str:
    """Return the SHA-256 of the certificate that the other side has shown; empty: none."""
    held = writer.get_extra_info("ssl_object")
    shown = held.getpeercert(binary_form=True) if held is not None else None
    return hashlib.sha256(shown).hexdigest() if shown else ""
