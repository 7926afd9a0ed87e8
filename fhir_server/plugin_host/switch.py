"""Plugins switched off and on while the server runs: a record that every process looks at, and two operations."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadValue, Forbidden
from fhir_server.operations.facts import facts_of
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.resilience import Complaint
from fhir_server.storage.base import Collection, Record, RecordChange, RecordChanged, Store, StoreError
from fhir_server.tenancy.registration import DEFAULT

logger = logging.getLogger(__name__)
SWITCHES = Collection("server.plugins")
_OFF = "off"
_EVERY = 1.0
_PLACE = "http://fhir-server.org/OperationDefinition/"


class Switch:
    """Keeps what is switched off the same in all processes; the record lies in the default tenant."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    async def _store(self) -> Store:
        return (await self._assembly.open_server().tenants.of(DEFAULT)).store

    async def watch(self) -> None:
        """Look at the record, for as long as this runs."""
        store = await self._store()
        complaint = Complaint()
        while True:
            try:
                await store.declare(SWITCHES)
                self._assembly.faults.switch_off(_names(await store.records.get(SWITCHES.name, _OFF)))
                complaint.well()
            except StoreError:  # the next look may get through
                if complaint.is_new():
                    logger.warning("switches of plugins could not be read")
            await asyncio.sleep(_EVERY)

    async def set(self, name: str, *, on: bool) -> None:
        """Switch a plugin; here at once, in other processes within a second."""
        store = await self._store()
        await store.declare(SWITCHES)
        while True:
            record = await store.records.get(SWITCHES.name, _OFF)
            off = set(_names(record)) - {name} if on else {*_names(record), name}
            revision = record.revision if record else 0
            try:
                change = RecordChange(SWITCHES.name, _OFF, {"names": sorted(off)}, expected=revision)
                await store.commit((), (change,))
            except RecordChanged:
                continue
            self._assembly.faults.switch_off(off)
            return


def _names(record: Record | None) -> Iterable[str]:
    found: Any = record.value["names"] if record else ()
    return [str(name) for name in found]


def administration(assembly: Assembly, switch: Switch) -> tuple[CoreOperation, ...]:
    """Return `$plugin-status` and `$plugin-switch`, for administrators."""

    async def status(ctx: Context, call: Call) -> Outputs:
        _administrators_only(ctx)
        return Outputs([("plugin", pairs) for pairs in _states(assembly)])

    async def change(ctx: Context, call: Call) -> Outputs:
        _administrators_only(ctx)
        name, on = call.inputs.one("name"), bool(call.inputs.one("on"))
        if name not in assembly.hosts:
            raise BadValue(f"no plugin {str(name)[:80]!r} is loaded", expression="http.name")
        await switch.set(name, on=on)
        return Outputs([("name", name), ("on", on)])

    return (
        CoreOperation(facts_of(_STATUS), status, "Which plugins there are, and how they do."),
        CoreOperation(facts_of(_SWITCH), change, "Switches a plugin off or on, without a restart."),
    )


def _administrators_only(ctx: Context) -> None:
    if not ctx.caller.admin:
        raise Forbidden("this is for administrators")


def _states(assembly: Assembly) -> Iterable[list[tuple[str, Any]]]:
    faults = assembly.faults
    for plugin in assembly.plugins.loaded:
        manifest = plugin.manifest
        state = "off" if faults.is_off(manifest.name) else "on"
        latest = [("fault", f"{each.where}: {each.what}") for each in faults.latest.get(manifest.name, ())]
        yield [
            ("name", manifest.name), ("version", manifest.version), ("state", state), ("summary", manifest.summary),
            ("faults", faults.counts[manifest.name]), *latest[-3:],
        ]  # fmt: skip
    for found in assembly.plugins.unavailable:
        manifest = found.manifest
        yield [
            ("name", manifest.name), ("version", manifest.version), ("state", "unavailable"),
            ("summary", manifest.summary), ("remedy", found.remedy),
        ]  # fmt: skip
    for found in assembly.plugins.disabled:
        yield [("name", found.manifest.name), ("version", found.manifest.version), ("state", "disabled")]


def _parameter(name: str, use: str, type_: str, most: str = "1", least: int = 0, **more: Any) -> dict[str, Any]:
    return {"name": name, "use": use, "min": least, "max": most, "type": type_, **more}


_STATUS: dict[str, Any] = {
    "resourceType": "OperationDefinition", "url": f"{_PLACE}plugin-status", "name": "PluginStatus", "status": "active",
    "kind": "operation", "code": "plugin-status", "system": True, "type": False, "instance": False,
    "affectsState": False, "resource": [],
    "parameter": [
        {
            "name": "plugin", "use": "out", "min": 0, "max": "*",
            "part": [
                _parameter("name", "out", "string", least=1), _parameter("version", "out", "string", least=1),
                _parameter("state", "out", "code", least=1), _parameter("summary", "out", "string"),
                _parameter("remedy", "out", "string"), _parameter("faults", "out", "integer"),
                _parameter("fault", "out", "string", "*"),
            ],
        }
    ],
}  # fmt: skip
_SWITCH: dict[str, Any] = {
    "resourceType": "OperationDefinition", "url": f"{_PLACE}plugin-switch", "name": "PluginSwitch", "status": "active",
    "kind": "operation", "code": "plugin-switch", "system": True, "type": False, "instance": False,
    "affectsState": True, "resource": ["Basic"],
    "parameter": [
        _parameter("name", "in", "string", least=1), _parameter("on", "in", "boolean", least=1),
        _parameter("name", "out", "string", least=1), _parameter("on", "out", "boolean", least=1),
    ],
}  # fmt: skip
