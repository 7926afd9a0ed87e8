"""Nodes that lose their store, in networks of their own: nobody tells them, what they send goes nowhere."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.load import Load, check, in_order, log
from tests.faults.netns import Network, network
from tests.faults.world import LEASE, Ferret, flags
from tests.integration.running import Running, start
from tests.servers.mongodb import is_built

pytestmark = pytest.mark.skipif(not is_built(), reason="FerretDB was not built (Go is not installed)")
_NAMES = ("a", "b")


@dataclass(slots=True)
class Nodes:
    """Two nodes that share a store, each on a machine of its own."""

    net: Network
    servers: dict[str, Running]
    notes: Path

    def ask(self, name: str, method: str, url: str, **more: Any) -> httpx.Response:
        """Ask a node, from its own machine."""
        base = self.servers[name].base.removesuffix("/fhir")
        return self.net.on(name, partial(httpx.request, method, f"{base}{url}", timeout=60, **more))

    def put(self, name: str, id_: str) -> httpx.Response:
        """Write a resource on a node."""
        body = {"resourceType": "Basic", "id": id_, "code": {"text": "x"}}
        return self.ask(name, "PUT", f"/fhir/Basic/{id_}", json=body)

    def lines(self) -> list[tuple[int, str]]:
        """Return what the consumer noted: by which process, and which version."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [(int(line.split()[0]), line.split()[2]) for line in lines]

    def noted(self, id_: str, within: float) -> str:
        """Return the node that gave a resource to the consumer."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            for pid, version in self.lines():
                if version == f"Basic/{id_}/_history/1":
                    return next(name for name, server in self.servers.items() if server.process.pid == pid)
            time.sleep(0.05)
        raise AssertionError(f"{id_} did not come to the consumer within {within} s")


@contextmanager
def _nodes(folder: Path) -> Iterator[Nodes]:
    with network() as net, ExitStack() as stack:
        stack.callback(os.environ.pop, "NOTES_OUT", None)
        os.environ["NOTES_OUT"] = str(folder)
        store = Ferret(folder / "ferret", 27017, net.add("store"))
        stack.callback(store.close)
        net.on("store", store.start)
        told = flags(f"mongodb://{store.host}:27017/")
        for name in _NAMES:
            net.add(name)
        begun = {name: net.begin(name, partial(start, folder / name, *told)) for name in _NAMES}
        for each in begun.values():
            if each.exception() is None:
                stack.callback(each.result().kill)
        servers = {name: each.result() for name, each in begun.items()}
        yield Nodes(net, servers, folder / "notes")


def _load(nodes: Nodes, name: str, load: Load) -> None:
    asyncio.run(load.run(ord(name) * 100))


def test_the_node_that_leads_is_cut_off_stops_to_lead_and_writes_nothing_when_it_comes_back(tmp_path: Path) -> None:
    with _nodes(tmp_path) as nodes:
        nodes.put("a", "first").raise_for_status()
        leader = nodes.noted("first", 20)
        other = "b" if leader == "a" else "a"
        loads = {name: Load(nodes.servers[name].base, name) for name in _NAMES}
        running = [nodes.net.begin(name, partial(_load, nodes, name, loads[name])) for name in _NAMES]
        time.sleep(1)

        nodes.net.part(leader, "store")
        began = time.monotonic()
        while (answer := nodes.put(other, f"after-{time.monotonic_ns()}")).status_code == 503:
            time.sleep(0.1)
        taken_over = time.monotonic() - began
        assert answer.is_success
        nodes.put(other, "second").raise_for_status()
        assert nodes.noted("second", LEASE * 3) == other
        assert nodes.put(leader, "third").status_code == 503
        assert nodes.ask(leader, "GET", "/health/ready").status_code == 503
        assert nodes.ask(leader, "GET", "/health/live").status_code == 200
        before = len(nodes.lines())

        nodes.net.heal()
        began = time.monotonic()
        while nodes.put(leader, "fourth").status_code == 503:
            time.sleep(0.1)
        back = time.monotonic() - began
        time.sleep(1)
        for load in loads.values():
            load.over = True
        for each in running:
            each.result()
        assert nodes.noted("fourth", 10) == other
        former = nodes.servers[leader].process.pid
        assert former not in {pid for pid, _ in nodes.lines()[before:]}
        print(f"a writer goes on after {taken_over:.1f} s, the one cut off is back after {back:.1f} s")

        for name, load in loads.items():
            nodes.net.on(name, partial(asyncio.run, check(load)))
        versions = nodes.net.on(other, lambda: asyncio.run(log(loads[other].base)))
        until = time.monotonic() + 20
        while {version for _, version in nodes.lines()} != set(versions) and time.monotonic() < until:
            time.sleep(0.1)
        twice = in_order([version for _, version in nodes.lines()], versions)
        print(f"{len(versions)} versions, {twice} given to the consumer more than once")


@pytest.mark.long
@pytest.mark.parametrize("way", [("store", "a"), ("a", "store")])
def test_a_node_whose_packets_are_lost_one_way_answers_truthfully(tmp_path: Path, way: tuple[str, str]) -> None:
    with _nodes(tmp_path) as nodes:
        load = Load(nodes.servers["a"].base)
        running = nodes.net.begin("a", partial(_load, nodes, "a", load))
        for seconds in (0.5, 3, 8):
            time.sleep(1)
            nodes.net.lose(*way)
            time.sleep(seconds)
            nodes.net.heal()
            began = time.monotonic()
            while not nodes.put("a", f"after-{seconds}").is_success:
                assert time.monotonic() - began < 20
            print(f"lost {way[0]} to {way[1]} for {seconds} s: back after {time.monotonic() - began:.1f} s")
        load.over = True
        running.result()
        nodes.net.on("b", partial(asyncio.run, check(replace(load, base=nodes.servers["b"].base))))
