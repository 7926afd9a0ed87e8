"""Admission: which associations are accepted, with which of their contexts, and how many."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dicomweb.dimse.catalog import COMMITMENT, chosen, service_of
from dicomweb.dimse.settings import DimseSettings, Right
from dicomweb.dimse.table import Ae, Tables
from dicomweb.dimse.wire import accepting
from dicomweb.dimse.wire.accepting import Rejection
from dicomweb.dimse.wire.negotiation import NO_ABSTRACT, NO_TRANSFER, Accept, Context, Proposed, Request, Role

_USER_REJECTION: Final = 1
STRANGER: Final = "an AE that the table does not name"
_MINUTE: Final = 60.0
_MOST_ADDRESSES: Final = 10_000
_QUIET: Final = 10.0
"""Seconds in which one line tells of all connections that were closed at once for the same reason."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who called.

    client: the registered client whose authority it has; without authorization its name in the audit.
    """

    title: str
    called: str
    address: str
    rights: frozenset[Right]
    tenant: str = "default"
    client: str = ""
    ae: Ae | None = None


@dataclass(slots=True)
class Admission:
    """Decides over calls, and counts them.

    guarded: whether the server asks for tokens; then each AE needs a client, and there are no strangers.
    clock: seconds.
    """

    settings: DimseSettings
    tables: Tables
    guarded: bool
    clock: Callable[[], float]
    open: dict[str, int] = field(default_factory=dict)
    _calls: dict[str, deque[float]] = field(default_factory=dict)

    def who(self, request: Request, address: str, certificate: str) -> Peer | Rejection:
        """Return who calls, or why the call is refused."""
        if (misfit := accepting.misfit(request)) is not None:
            return misfit
        if request.called != self.settings.dimse_title:
            return accepting.UNKNOWN_CALLED
        ae = self.tables.now.called_by(request.calling, address, certificate)
        if ae is not None:
            client = ae.client or ("" if self.guarded else ae.title)
            rights = frozenset(ae.may) if client else frozenset(ae.may) & {"echo"}
            return Peer(ae.title, request.called, address, rights, ae.tenant, client, ae)
        known = self.tables.now.find(request.calling) is not None
        if known or self.guarded or not self.settings.dimse_strangers:
            return accepting.UNKNOWN_CALLING
        strange = frozenset(self.settings.dimse_strangers)
        return Peer(request.calling, request.called, address, strange, client=STRANGER)

    def crowded(self, peer: Peer) -> Rejection | None:
        """Return why there is no room for another association of an AE at this moment."""
        if sum(self.open.values()) >= self.settings.dimse_associations:
            return accepting.LIMIT
        return accepting.LIMIT if self.open.get(peer.title, 0) >= self.settings.dimse_associations_each else None

    def called_too_often(self, address: str) -> bool:
        """Count a call; tell whether there were too many from an address in the last minute."""
        now = self.clock()
        if len(self._calls) > _MOST_ADDRESSES:
            self._calls.clear()
        calls = self._calls.setdefault(address, deque())
        while calls and calls[0] <= now - _MINUTE:
            calls.popleft()
        if len(calls) >= self.settings.dimse_calls_per_minute:
            return True
        calls.append(now)
        return False

    def enter(self, peer: Peer) -> None:
        """Count an association that begins."""
        self.open[peer.title] = self.open.get(peer.title, 0) + 1

    def leave(self, peer: Peer) -> None:
        """Count one that has ended."""
        self.open[peer.title] -= 1
        if not self.open[peer.title]:
            del self.open[peer.title]

    def answer(self, request: Request, peer: Peer) -> Accept:
        """Return what is accepted of a request."""
        asked = {role.abstract: role for role in request.roles}
        contexts = tuple(self._context(each, peer) for each in request.contexts)
        accepted = {each.abstract for each in contexts if each.result == 0}
        roles = tuple(self._role(role, peer) for name, role in asked.items() if name in accepted)
        return Accept(contexts, self.settings.dimse_max_pdu, roles)

    def _context(self, proposed: Proposed, peer: Peer) -> Context:
        plain = proposed.transfers[0] if proposed.transfers else ""
        service = service_of(proposed.abstract, unknown_storage=self.settings.dimse_unknown_storage)
        if service is None or not proposed.id % 2:
            return Context(proposed.id, proposed.abstract, plain, NO_ABSTRACT)
        right = service in peer.rights or (service == "store" and "get" in peer.rights)
        if not right:
            return Context(proposed.id, proposed.abstract, plain, _USER_REJECTION)
        transfer = chosen(service, proposed.transfers)
        if not transfer:
            return Context(proposed.id, proposed.abstract, plain, NO_TRANSFER)
        return Context(proposed.id, proposed.abstract, transfer)

    @staticmethod
    def _role(role: Role, peer: Peer) -> Role:
        """An AE plays the provider of objects that it gets, and of commitments that it made."""
        service = service_of(role.abstract, unknown_storage=True)
        provides = (service == "store" and "get" in peer.rights) or role.abstract == COMMITMENT
        return Role(role.abstract, role.user, role.provider and provides)


@dataclass(slots=True)
class Drops:
    """Tells of connections that are closed at once, and a flood of them in few lines. clock: seconds."""

    clock: Callable[[], float]
    _next: dict[str, float] = field(default_factory=dict)
    _silent: Counter[str] = field(default_factory=Counter)

    def told(self, why: str) -> str | None:
        """Count one; return what is said of those that went before it, None where nothing is to be said now."""
        now = self.clock()
        if now < self._next.get(why, 0):
            self._silent[why] += 1
            return None
        self._next[why] = now + _QUIET
        before = self._silent.pop(why, 0)
        return f"; as were {before} before it" if before else ""
