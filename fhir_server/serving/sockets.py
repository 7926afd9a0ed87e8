"""Listening sockets: the public one and the local door that only this user's processes can open."""

import ipaddress
import socket
from pathlib import Path

BACKLOG = 2048
_LONGEST_UNIX_PATH = 100


class CannotListen(Exception):
    """An address that is taken or not ours; the message says which."""


def listen_tcp(host: str, port: int) -> socket.socket:
    """Bind and listen on a TCP address; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from None
    sock.listen(BACKLOG)
    sock.set_inheritable(True)
    return sock


def listen_unix(path: Path) -> socket.socket:
    """Bind and listen on a Unix socket with mode 0600; a stale file of a dead owner is replaced."""
    if len(str(path)) > _LONGEST_UNIX_PATH:
        raise CannotListen(f"the path {path} is too long for a socket; choose a shorter data folder")
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    path.chmod(0o600)
    sock.listen(BACKLOG)
    sock.set_inheritable(True)
    return sock


def address_of(sock: socket.socket, *, tls: bool = False) -> str:
    """Return the URL of a TCP listening socket."""
    host, port = sock.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
