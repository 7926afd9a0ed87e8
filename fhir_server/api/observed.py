"""What machines look at: the health of plugins, and numbers for Prometheus.

Spec: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from fhir_server.plugin_host.assembly import Assembly
from fhir_server.plugin_host.context import Host
from fhir_server.plugins.registrations import HealthCheck
from fhir_server.plugins.registrations import Metric as Registered
from fhir_server.telemetry.exposition import Families
from fhir_server.telemetry.sharing import Board

_WITHIN: Final = 5.0


async def plugin_health(assembly: Assembly) -> dict[str, Any]:
    """Return the state of each plugin: `on`, `off`, `unavailable` or `failing`, its faults, what its checks say."""
    found: dict[str, Any] = {}
    for plugin in assembly.plugins.loaded:
        off = assembly.faults.is_off(plugin.name)
        found[plugin.name] = {"state": "off" if off else "on", "faults": assembly.faults.counts[plugin.name]}
    for each in assembly.plugins.unavailable:
        found[each.manifest.name] = {"state": "unavailable", "remedy": each.remedy}
    for host, check in assembly.health_checks():
        said = found[host.plugin.name]
        if said["state"] != "off" and (wrong := await _checked(host, check)):
            said["state"] = "failing"
            said.setdefault("checks", {})[check.name] = wrong
    return found


async def _checked(host: Host, check: HealthCheck) -> str:
    try:
        return await asyncio.wait_for(check.check(host), _WITHIN) or ""
    except TimeoutError:
        return f"no answer within {_WITHIN:.0f} s"
    except Exception as error:  # whatever it is, it is what health is asked about
        return type(error).__name__


async def refresh(assembly: Assembly) -> None:
    """Let plugins read anew what their numbers are of; one that fails or takes long keeps those that it had."""
    for host, metric in assembly.metrics():
        if metric.refresh is not None and not assembly.faults.is_off(host.plugin.name):
            try:
                await asyncio.wait_for(metric.refresh(host), _WITHIN)
            except Exception as error:  # one plugin's number must not take away those of all others
                assembly.faults.note(host.plugin.name, f"metric {metric.name}", error)


class _Plugins(Collector):
    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    def collect(self) -> Iterable[Metric]:
        """Yield all families."""
        faults = CounterMetricFamily(
            "fhir_server_plugin_faults", "Failures of plugins in this process.", labels=["plugin"]
        )
        for plugin in self._assembly.plugins.loaded:
            faults.add_metric([plugin.name], self._assembly.faults.counts[plugin.name])
        yield faults
        seen: set[str] = set()
        for host, metric in self._assembly.metrics():
            family = self._family(host, metric)
            if family.name in seen:  # a reader refuses all numbers over two families of one name
                self._assembly.faults.note(host.plugin.name, f"metric {metric.name}", ValueError("twice"))
                continue
            seen.add(family.name)
            yield family

    def _family(self, host: Host, metric: Registered) -> Metric:
        made = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = made(f"{host.plugin.name}_{metric.name}", metric.help, labels=list(metric.labels))
        try:
            for labels, value in metric.read().items():
                family.add_metric(list(labels), value)
        except Exception as error:  # one plugin's number must not take away those of all others
            self._assembly.faults.note(host.plugin.name, f"metric {metric.name}", error)
        return family


def metrics(assembly: Assembly, board: Board, accept: str = "") -> tuple[bytes, str]:
    """Return the numbers of all processes, and of plugins in this one, in the format that is asked for, and its media
    type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families(board.total()))
    registry.register(_Plugins(assembly))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def is_local(address: str) -> bool:
    """Tell whether a request came from this machine."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == ""
