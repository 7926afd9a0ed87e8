"""The table of AEs: who they are, where they are, what they may do; and what is forwarded and prefetched.

[[ae]]
title = "CT1"
host = "10.0.0.7"                 # where it is called, and calls from unless `from` says otherwise
port = 104
from = ["10.0.0.0/28"]
certificate = "9f86d081884c7d65..."   # SHA-256 of the certificate that it must show by TLS
tls = true                        # whether it is called by TLS
client = "ct-1"                   # the registered client whose scopes it has
tenant = "default"
may = ["echo", "store", "worklist", "mpps", "commitment"]

[[forward]]
name = "to the workstation"
to = "WS1"
from = ["CT1"]                    # AEs that it came from; none: all, and by STOW
modalities = ["CT"]               # none: all
commit = true                     # whether it is asked to confirm that it keeps them

[[prefetch]]
name = "priors of ordered CTs"
source = "OLDPACS"                # fetched from there; or
to = "WS1"                        # sent there
modalities = ["CT"]               # of orders and of priors; none: all
most = 3                          # studies, the newest ones
"""

import ipaddress
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from dicomweb.dimse.settings import Right

_ALL: Final[tuple[Right, ...]] = ("echo", "store", "find", "move", "get", "worklist", "mpps", "commitment")


class BadTable(Exception):
    """A table that cannot be used; the message says where."""


class Ae(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One AE. get: whether objects are fetched from it by C-GET, and not by C-MOVE."""

    title: str
    host: str = ""
    port: int = 0
    from_: tuple[str, ...] = ()
    certificate: str = ""
    tls: bool = False
    client: str = ""
    tenant: str = "default"
    may: tuple[Right, ...] = ("echo",)
    get: bool = False

    def calls_from(self, address: str, certificate: str) -> bool:
        """Tell whether a call from an address, with the SHA-256 of the certificate that was shown, may be its."""
        if self.certificate and self.certificate.lower().replace(":", "") != certificate:
            return False
        places = self.from_ or ((self.host,) if self.host else ())
        if not places:
            return bool(self.certificate)
        return any(_within(address, place) for place in places)


class Forward(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A rule of forwarding."""

    name: str
    to: str
    from_: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    commit: bool = False
    tenant: str = "default"


class Prefetch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule of prefetching: earlier studies of a patient for whom something is ordered."""

    name: str
    source: str = ""
    to: str = ""
    modalities: tuple[str, ...] = ()
    most: int = 3
    tenant: str = "default"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    ae: tuple[Ae, ...] = ()
    forward: tuple[Forward, ...] = ()
    prefetch: tuple[Prefetch, ...] = ()

    def find(self, title: str) -> Ae | None:
        """Return an AE by its title."""
        return next((each for each in self.ae if each.title == title), None)

    def called_by(self, title: str, address: str, certificate: str) -> Ae | None:
        """Return the AE that calls; None: none of that title calls from there."""
        found = self.find(title)
        return found if found is not None and found.calls_from(address, certificate) else None


def read_table(path: Path | None) -> Table:
    """Return the table of a file. Raises BadTable."""
    if path is None:
        return Table()
    try:
        table = msgspec.convert(tomllib.loads(path.read_text()), Table)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadTable(f"{path}: {error}") from None
    for fault in _faults(table):
        raise BadTable(f"{path}: {fault}")
    return table


def _faults(table: Table) -> list[str]:
    titles = [each.title for each in table.ae]
    found = [f"two AEs are named {title}" for title in set(titles) if titles.count(title) > 1]
    for ae in table.ae:
        if not 0 < len(ae.title) <= 16 or "\\" in ae.title:
            found.append(f"{ae.title!r} is no AE title: 1 to 16 characters")
        if not (ae.from_ or ae.host or ae.certificate):
            found.append(f"{ae.title}: name where it calls from (host, from) or its certificate")
        found += [f"{ae.title}: {place!r} is no address or network" for place in ae.from_ if not _is_place(place)]
    named = [(rule.name, rule.to) for rule in table.forward]
    named += [(rule.name, one) for rule in table.prefetch for one in (rule.to, rule.source) if one]
    for name, title in named:
        known = table.find(title)
        if known is None or not known.port:
            found.append(f"{name}: there is no AE {title} with host and port")
    found += [f"{rule.name}: name either source or to" for rule in table.prefetch if bool(rule.to) == bool(rule.source)]
    return found


def _is_place(place: str) -> bool:
    try:
        ipaddress.ip_network(place, strict=False)
    except ValueError:
        return False
    return True


def _within(address: str, place: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(place, strict=False)
    except ValueError:
        return address == place or (place == "localhost" and address in ("127.0.0.1", "::1"))


class Tables:
    """The table as it is now: the file is read again when it has changed; one that cannot be used is passed over, and
    `fault` says why.

    Args:
        path: of the file; None: an empty table.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._stamp = path, self._stamped(path)
        self._table = read_table(path)
        self.fault = ""

    @property
    def now(self) -> Table:
        """The table in force."""
        stamp = self._stamped(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._table, self.fault = read_table(self._path), ""
            except BadTable as error:
                self.fault = str(error)
        return self._table

    @staticmethod
    def _stamped(path: Path | None) -> tuple[int, int]:
        try:
            found = path.stat() if path else None
        except OSError:
            return 0, 0
        return (found.st_mtime_ns, found.st_size) if found else (0, 0)
