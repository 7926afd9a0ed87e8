"""Machines of a network that is all of the test's own: network namespaces behind a router, which is one as well.

What is lost, is lost in the router, by routes that lead nowhere for what comes from one machine and goes to another:
nobody is told, as with a cable that was pulled. (`tc netem` and packet filters are not in every kernel; routes are.)
"""

import ctypes
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

_SHUTTLE = "10.213"
_ROUTER = "router"
_NEW_NET = 0x40000000
T = TypeVar("T")


@dataclass(slots=True)
class Network:
    """Machines by name, each in a network of its own with the router in it."""

    mark: str
    addresses: dict[str, str] = field(default_factory=dict)
    _lost: set[tuple[str, str]] = field(default_factory=set)
    _threads: dict[str, ThreadPoolExecutor] = field(default_factory=dict)

    def on(self, name: str, work: Callable[[], T]) -> T:
        """Do something on a machine: sockets and processes that it makes are there."""
        return self._threads[name].submit(work).result()

    def begin(self, name: str, work: Callable[[], T]) -> "Future[T]":
        """Have something done on a machine, beside what is done there already."""
        return ThreadPoolExecutor(1, initializer=_enter, initargs=(self._namespace(name),)).submit(work)

    def _namespace(self, name: str) -> str:
        return f"{self.mark}-{name}"

    def add(self, name: str) -> str:
        """Add a machine; return its address."""
        number, end, here = len(self.addresses), f"{self.mark}{len(self.addresses)}", self._namespace(name)
        address, gate = f"{_SHUTTLE}.{number}.2", f"{_SHUTTLE}.{number}.1"
        ip("netns", "add", here)
        ip("link", "add", f"{end}r", "netns", self._namespace(_ROUTER), "type", "veth",
           "peer", "name", "eth0", "netns", here)  # fmt: skip
        self._in(_ROUTER, "addr", "add", f"{gate}/24", "dev", f"{end}r")
        self._in(_ROUTER, "link", "set", f"{end}r", "up")
        lines = f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up", f"route add default via {gate}"
        for line in lines:
            self._in(name, *line.split())
        self.addresses[name] = address
        self._threads[name] = ThreadPoolExecutor(1, initializer=_enter, initargs=(here,))
        return address

    def _in(self, name: str, *arguments: str) -> None:
        ip("-n", self._namespace(name), *arguments)

    def lose(self, source: str, target: str) -> None:
        """Lose from now on what one machine sends to another; the way back stays open."""
        self._in(_ROUTER, "rule", "add", *self._way(source, target))
        self._lost.add((source, target))

    def part(self, one: str, other: str) -> None:
        """Lose both ways."""
        self.lose(one, other)
        self.lose(other, one)

    def heal(self) -> None:
        """Lose nothing more."""
        for source, target in self._lost:
            self._in(_ROUTER, "rule", "del", *self._way(source, target))
        self._lost.clear()

    def _way(self, source: str, target: str) -> list[str]:
        return ["from", self.addresses[source], "to", self.addresses[target], "blackhole"]


def _enter(namespace: str) -> None:
    """Have this thread in a namespace. Python has this from 3.12 on."""
    with Path("/run/netns", namespace).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _NEW_NET):
            raise OSError(ctypes.get_errno(), "setns")


def ip(*arguments: str) -> None:
    """Run `ip`. Raises CalledProcessError with what it said."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def network() -> Iterator[Network]:
    """Return a network without machines; a test is left out, with the reason, where the kernel allows none."""
    made = Network(f"f{secrets.token_hex(2)}")
    router = f"{made.mark}-{_ROUTER}"
    try:
        try:
            ip("netns", "add", router)
            ip("-n", router, "link", "set", "lo", "up")
            forward = ["ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
            subprocess.run(forward, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or error
            pytest.skip(f"test data: network namespaces cannot be made here ({os.getuid()=}): {said}")
        yield made
    finally:
        for thread in made._threads.values():
            thread.shutdown()
        for name in (*made.addresses, _ROUTER):
            with suppress(OSError, subprocess.CalledProcessError):
                ip("netns", "delete", f"{made.mark}-{name}")
