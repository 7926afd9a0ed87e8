"""Loads plugins: imports their hooks, holds them to the manifest and orders them by the services they need."""

import importlib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Any

import pluggy
from pydantic import BaseModel, ValidationError

from fhir_server import hookspecs
from fhir_server.plugins.finding import Found, PluginFault, find, place_of
from fhir_server.plugins.manifest import Manifest
from fhir_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin that is in force: its manifest, its hooks, its settings."""

    manifest: Manifest
    module: Any
    settings: BaseModel
    scopes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.name

    def register(self, hook: str, *arguments: object) -> Any:
        """Call a register hook; None where the plugin does not have it.

        Raises:
            PluginFault: the hook failed.
        """
        if hook not in self.manifest.hooks:
            return None
        function = getattr(self.module, hook)
        try:
            taken = arguments or ((self.settings,) if "settings" in inspect.signature(function).parameters else ())
            return function(*taken[: len(inspect.signature(function).parameters)])
        except Exception as error:
            raise PluginFault(f"plugin {self.name}, hook {hook}: {place_of(error)}") from error


@dataclass(frozen=True, slots=True)
class Plugins:
    """What is there: `loaded` in the order of their needs, `unavailable` for want of packages, `disabled` by choice,
    `apart` in processes of their own."""

    loaded: tuple[Loaded, ...] = ()
    unavailable: tuple[Found, ...] = ()
    disabled: tuple[Found, ...] = ()
    apart: tuple[Found, ...] = ()

    def registered(self, hook: str) -> list[tuple[Loaded, Any]]:
        """Return what each plugin adds by a hook that returns a list, in order."""
        return [(plugin, each) for plugin in self.loaded for each in plugin.register(hook) or ()]


def load_plugins(settings: Settings) -> Plugins:
    """Find and load all plugins.

    Raises:
        PluginFault: one is not as it has to be; the message names plugin, hook and line.
    """
    return load_found(find(settings.plugins_dir), settings)


def load_found(all_found: Iterable[Found], settings: Settings) -> Plugins:
    """Load those that were found."""
    found = list(all_found)
    names = {each.manifest.name for each in found}
    unknown = (_named(settings) - names) or set()
    if unknown:
        raise PluginFault(f"the settings name plugins that are not installed: {', '.join(sorted(unknown))}")
    disabled = [each for each in found if not _is_wanted(each.manifest, settings)]
    wanted = [each for each in found if each not in disabled]
    unavailable = _unavailable(found, wanted)
    for each in unavailable:
        if each.manifest.name in settings.plugins_enabled:
            missing = ", ".join(each.missing)
            raise PluginFault(f"plugin {each.manifest.name} is enabled but lacks {missing}: {each.remedy}")
    apart = [each for each in wanted if each.manifest.name in settings.plugins_apart and not each.missing]
    names = {each.manifest.name for each in (*unavailable, *apart)}
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    loaded = {each.manifest.name: _load(manager, each, settings) for each in wanted if each.manifest.name not in names}
    ordered = _ordered(loaded)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginFault(f"plugin {_name(error)}: {error}") from error
    return Plugins(ordered, tuple(unavailable), tuple(disabled), tuple(apart))


def _named(settings: Settings) -> set[str]:
    """Return the plugins that settings speak of."""
    return {
        *settings.plugins, *settings.plugins_disabled, *settings.plugins_enabled, *settings.plugins_apart,
        *settings.plugin_scopes,
    }  # fmt: skip


def _unavailable(found: Sequence[Found], wanted: Sequence[Found]) -> list[Found]:
    """Return those that lack packages, or services of plugins that are unavailable or disabled, to any depth."""
    gone = [each for each in wanted if each.missing]
    while True:
        there = [each for each in wanted if all(each.manifest.name != one.manifest.name for one in gone)]
        offered = {service for each in there for service in each.manifest.provides}
        known = {service: each for each in found for service in each.manifest.provides if each not in there}
        more = []
        for each in there:
            lost = [service for service in each.manifest.requires if service not in offered and service in known]
            if lost:
                providers = tuple(f"the plugin {known[service].manifest.name}" for service in lost)
                more.append(replace(each, missing=providers))
        if not more:
            return gone
        gone += more


def _is_wanted(manifest: Manifest, settings: Settings) -> bool:
    if manifest.name in settings.plugins_disabled:
        return False
    return manifest.enabled or manifest.name in settings.plugins_enabled


def _load(manager: pluggy.PluginManager, found: Found, settings: Settings) -> Loaded:
    manifest = found.manifest
    try:
        module = importlib.import_module(manifest.module)
        manager.register(module, name=manifest.name)
    except pluggy.PluginValidationError as error:
        raise PluginFault(f"plugin {manifest.name} ({found.source}): {error}") from error
    except Exception as error:
        raise PluginFault(f"plugin {manifest.name}: {manifest.module} cannot be imported: {place_of(error)}") from error
    _check_hooks(manifest, module, manager)
    return Loaded(manifest, module, _settings(manifest, settings), _scopes(manifest, settings.plugin_scopes))


def _check_hooks(manifest: Manifest, module: Any, manager: pluggy.PluginManager) -> None:
    """Hold the module to the hooks that the manifest names: no more, no fewer, each of its kind."""
    callers = manager.get_hookcallers(module) or []
    there = {caller.name for caller in callers}
    known = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")}
    for name in sorted(there - known):
        said = f"there is no hook {name} ({_line(module, name)}); did you mean {_nearest(name, known)}?"
        raise PluginFault(f"plugin {manifest.name}: {said}")
    for name in sorted(set(manifest.hooks) - there):
        raise PluginFault(f"plugin {manifest.name}: its manifest names the hook {name}, but {module.__name__} lacks it")
    for name in sorted(there - set(manifest.hooks)):
        raise PluginFault(
            f"plugin {manifest.name}: its manifest does not name the hook {name} of {_line(module, name)}"
        )
    for name in there:
        wants = inspect.iscoroutinefunction(getattr(hookspecs, name))
        if inspect.iscoroutinefunction(getattr(module, name)) != wants:
            kind = "async" if wants else "a plain function"
            raise PluginFault(f"plugin {manifest.name}: the hook {name} of {_line(module, name)} has to be {kind}")


def _line(module: Any, name: str) -> str:
    return f"{module.__name__}:{inspect.getsourcelines(getattr(module, name))[1]}"


def _nearest(name: str, known: Iterable[str]) -> str:
    return next(iter(get_close_matches(name, list(known), 1, 0)), "another")


def _settings(manifest: Manifest, settings: Settings) -> BaseModel:
    """Read the settings of a plugin. Raises PluginFault: one is unknown or does not fit."""
    given = settings.plugins.get(manifest.name, {})
    try:
        return manifest.settings(**{name: _shape(manifest.settings, name, value) for name, value in given.items()})
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise PluginFault(f"plugin {manifest.name}, settings: {said}") from None


def _shape(model: type[BaseModel], name: str, value: Any) -> Any:
    """Read the text of an environment variable where the setting is a list (JSON, or by commas) or a table (JSON)."""
    field = model.model_fields.get(name)
    if field is None or not isinstance(value, str) or not isinstance(field.default, tuple | dict):
        return value
    if isinstance(field.default, tuple) and not value.lstrip().startswith("["):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        return json.loads(value)
    except ValueError:
        return value  # pydantic says what it should be


def _scopes(manifest: Manifest, granted: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the scopes that a plugin has: those that it asks for, unless the settings grant it others.

    Raises:
        PluginFault: it asks for one that is not among those granted.
    """
    given = granted.get(manifest.name)
    if given is None:
        return manifest.scopes
    refused = [scope for scope in manifest.scopes if scope not in given]
    if refused:
        raise PluginFault(
            f"plugin {manifest.name} asks for scopes that plugin_scopes does not grant it: {' '.join(refused)}"
        )
    return tuple(given)


def _ordered(loaded: Mapping[str, Loaded]) -> tuple[Loaded, ...]:
    """Return those that provide a service before those that require it."""
    providers: dict[str, str] = {}
    for plugin in loaded.values():
        for service in plugin.manifest.provides:
            if service in providers:
                raise PluginFault(f"plugins {providers[service]} and {plugin.name} both provide {service}")
            providers[service] = plugin.name
    needs: dict[str, set[str]] = {}
    for plugin in loaded.values():
        lacking = [service for service in plugin.manifest.requires if service not in providers]
        if lacking:
            raise PluginFault(f"plugin {plugin.name} requires services that no plugin provides: {', '.join(lacking)}")
        wanted = (*plugin.manifest.requires, *(name for name in plugin.manifest.uses if name in providers))
        needs[plugin.name] = {providers[service] for service in wanted}
    try:
        return tuple(loaded[name] for name in TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise PluginFault(f"plugins require each other in a circle: {' > '.join(error.args[1])}") from None


def _name(error: pluggy.PluginValidationError) -> str:
    return str(getattr(error.plugin, "__name__", error.plugin))
