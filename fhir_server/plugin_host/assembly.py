"""Puts what plugins register in the places where the server takes it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.auth.scopes import parse_scope
from fhir_server.context import Context
from fhir_server.definitions import Definitions, WrongStructure, with_structures
from fhir_server.dispatch import PLUGIN, Server
from fhir_server.feed import Consumer, FeedChange, Scheduled
from fhir_server.operations.operation import CoreOperation
from fhir_server.plugin_host.apart import remote_operations
from fhir_server.plugin_host.context import Host, PluginContext, own_operation
from fhir_server.plugin_host.deciders import PluginDeciders
from fhir_server.plugin_host.faults import Faults
from fhir_server.plugins import Loaded, PluginFault, PluginGrant, Plugins
from fhir_server.plugins.registrations import Background, HealthCheck, Metric, Page, Route, SocketRoute
from fhir_server.settings import Settings
from fhir_server.storage.base import Collection

_TYPE_OF_SCOPE = re.compile(r"(?:system|user|patient)/([A-Za-z]+)\.")


@dataclass(slots=True)
class Assembly:
    """All that plugins add to one process; `server` is set once it is open."""

    plugins: Plugins
    faults: Faults = field(default_factory=Faults)
    server: Server | None = None
    hosts: dict[str, Host] = field(default_factory=dict)
    _metrics: list[tuple[Host, Metric]] | None = None

    def __post_init__(self) -> None:
        """Make the hosts, each with the services that it requires, and with those it uses that are there."""
        services: dict[str, object] = {}
        for plugin in self.plugins.loaded:
            _check_scopes(plugin)
        for plugin in self.plugins.loaded:
            wanted = {name: services[name] for name in plugin.manifest.requires}
            wanted |= {name: services[name] for name in plugin.manifest.uses if name in services}
            host = self.hosts[plugin.name] = Host(self.open_server, plugin, wanted)
            host.provided = self._provided(plugin)
            services |= host.provided

    def open_server(self) -> Server:
        """Return the parts of the server, once it is open."""
        if self.server is None:
            raise RuntimeError("the server is not open yet: plugins work in on_start and later")
        return self.server

    def _provided(self, plugin: Loaded) -> Mapping[str, object]:
        provided: Mapping[str, object] = plugin.register("register_services") or {}
        if set(provided) != set(plugin.manifest.provides):
            raise PluginFault(
                f"plugin {plugin.name}: its manifest says it provides {sorted(plugin.manifest.provides)}, "
                f"register_services gives {sorted(provided)}"
            )
        return provided

    def _each(self, hook: str) -> Iterable[tuple[Host, Any]]:
        return ((self.hosts[plugin.name], each) for plugin, each in self.plugins.registered(hook))

    def operations(self, core: Sequence[CoreOperation], settings: Settings | None = None) -> tuple[CoreOperation, ...]:
        """Return the operations of the core and of plugins; with settings, also of those apart.

        Raises:
            PluginFault: two would answer one call, or a plugin apart cannot be loaded.
        """
        taken = {place: "the server" for each in core for place in _places(each)}
        found = list(core)
        for host, operation in self._each("register_operations"):
            _take(taken, host.plugin.name, operation)
            found.append(own_operation(host, self.faults, operation))
        if settings is None:
            return tuple(found)
        for plugin in self.plugins.apart:
            for operation in remote_operations(plugin, settings):
                _take(taken, plugin.manifest.name, operation)
                found.append(operation)
        return tuple(found)

    def definitions(self, core: Definitions) -> Definitions:
        """Return the definitions with the resource types of plugins. Raises PluginFault: one cannot be used."""
        return definitions_with(self.plugins, core)

    def conformance(self) -> list[Mapping[str, Any]]:
        """Return the conformance resources that are in force in every tenant, those of resource types included."""
        return [*self.values("register_resource_types"), *self.values("register_conformance")]

    def deciders(self) -> PluginDeciders | None:
        """Return what plugins decide within requests; None where none does."""
        found = PluginDeciders(
            list(self._each("register_write_checks")),
            list(self._each("register_interceptors")),
            self.faults,
            [plugin for plugin in self.plugins.loaded if "amend_capabilities" in plugin.manifest.hooks],
        )
        return found if found.checks or found.shows or found.amending else None

    def routes(self) -> list[tuple[Host, Route | SocketRoute | Page]]:
        """Return the routes and pages."""
        return [*self._each("register_routes"), *self._each("register_pages")]

    def collections(self) -> list[Collection]:
        """Return the collections of records. Raises PluginFault: one is not named after its plugin."""
        found = []
        for host, collection in self._each("register_collections"):
            if not collection.name.startswith(f"{host.plugin.name}."):
                raise PluginFault(
                    f"plugin {host.plugin.name}: name the collection {host.plugin.name}.{collection.name}"
                )
            found.append(collection)
        return found

    def consumers(self) -> list[Consumer]:
        """Return the consumers of the feed; each works as its plugin."""
        return [_consumer(host, each) for host, each in self._each("register_consumers")]

    def scheduled(self) -> list[Scheduled]:
        """Return the work on the clock; each works as its plugin."""
        return [_scheduled(host, each) for host, each in self._each("register_scheduled_jobs")]

    def background(self) -> list[tuple[Host, Background]]:
        """Return what goes on beside."""
        return list(self._each("register_background"))

    def grants(self) -> dict[str, PluginGrant]:
        """Return what each plugin may do by itself, by the id of its grant."""
        return {
            f"{PLUGIN}{plugin.name}": PluginGrant(" ".join(plugin.scopes), plugin.manifest.past_consent)
            for plugin in self.plugins.loaded
        }

    def health_checks(self) -> list[tuple[Host, HealthCheck]]:
        """Return what tells whether plugins work."""
        return list(self._each("register_health_checks"))

    def metrics(self) -> list[tuple[Host, Metric]]:
        """Return the numbers of plugins."""
        if self._metrics is None:
            self._metrics = list(self._each("register_metrics"))
        return self._metrics

    def values(self, hook: str) -> list[Any]:
        """Return what a hook gives where the server takes it as it is."""
        return [each for _, each in self._each(hook)]

    async def observe(self, hook: str) -> None:
        """Call an observe hook of all plugins; failures are noted."""
        for plugin in self.plugins.loaded:
            if hook in plugin.manifest.hooks:
                try:
                    await getattr(plugin.module, hook)(self.hosts[plugin.name])
                except Exception as error:  # an observer must not harm what it observes
                    self.faults.note(plugin.name, hook, error)


def _take(taken: dict[tuple[str, str, str], str], plugin: str, operation: CoreOperation) -> None:
    """Note whose the calls of an operation are. Raises PluginFault: somebody else's."""
    for place in _places(operation):
        if place in taken:
            code, type_, level = place
            where = f"{type_} ({level})" if type_ else "the system"
            raise PluginFault(
                f"plugin {plugin}, hook register_operations: ${code} on {where} is that of {taken[place]}"
            )
        taken[place] = f"the plugin {plugin}"


def _check_scopes(plugin: Loaded) -> None:
    """Raise PluginFault where a scope would give nothing: misspelt, in another order, of another level."""
    for name in plugin.scopes:
        scope = parse_scope(name)
        if scope is None or scope.level != "system":
            raise PluginFault(f"plugin {plugin.name}: {name} is no system scope, such as system/Patient.rs")


def _places(operation: CoreOperation) -> list[tuple[str, str, str]]:
    """Return the calls that an operation answers: code, type, level."""
    facts = operation.facts
    levels = [level for level, there in (("type", facts.type_level), ("instance", facts.instance)) if there]
    system = [(facts.code, "", "system")] if facts.system else []
    return system + [(facts.code, type_, level) for type_ in facts.resources for level in levels]


def _consumer(host: Host, consumer: Consumer) -> Consumer:
    async def handle(ctx: Context, changes: Sequence[FeedChange]) -> None:
        await consumer.handler(await _as_plugin(host, ctx), changes)

    return replace(consumer, name=_named(host, consumer.name), handler=handle)


def _scheduled(host: Host, scheduled: Scheduled) -> Scheduled:
    async def handle(ctx: Context) -> None:
        await scheduled.handler(await _as_plugin(host, ctx))

    return replace(scheduled, name=_named(host, scheduled.name), handler=handle)


async def _as_plugin(host: Host, ctx: Context) -> PluginContext:
    return await host.context(ctx.tenant, ctx.base)


def _named(host: Host, name: str) -> str:
    return name if name.startswith(host.plugin.name) else f"{host.plugin.name}.{name}"


def definitions_with(plugins: Plugins, core: Definitions) -> Definitions:
    """Return the definitions with the resource types of plugins; nothing else of them is set up.

    Raises:
        PluginFault: one cannot be used.
    """
    for plugin, structure in plugins.registered("register_resource_types"):
        try:
            core = with_structures(core, [structure])
        except WrongStructure as error:
            raise PluginFault(f"plugin {plugin.name}, hook register_resource_types: {error}") from error
    for plugin in plugins.loaded:
        for scope in plugin.scopes:
            type_ = _TYPE_OF_SCOPE.match(scope)
            if type_ and type_[1] not in core.resource_types:
                raise PluginFault(f"plugin {plugin.name}: its scope {scope} is for a type that there is not")
    return core
