"""Finds the plugins that are installed: entry points, and packages in the folder `plugins_dir`."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from fhir_server.plugins.manifest import API_VERSION, GROUP, Manifest


class PluginFault(Exception):
    """A plugin that cannot be used; the message names plugin, place and what to do. It stops the start."""


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin that is there; `missing` are the requirements that are not met, with which it is unavailable."""

    manifest: Manifest
    source: str
    missing: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """Return the command that installs what is missing."""
        lacking = [each for each in self.missing if not each.startswith("the plugin ")]
        wanted = [self.manifest.extra] if self.manifest.extra else lacking
        return "pip install " + " ".join(f"'{each}'" for each in wanted) if lacking else ""


def find(folder: Path | None = None) -> list[Found]:
    """Return all plugins, sorted by name.

    Raises:
        PluginFault: a manifest cannot be read, two have one name, or one is for another API.
    """
    found: dict[str, Found] = {}
    for source, manifest in [*_installed(), *(_in_folder(folder) if folder else ())]:
        if manifest.name in found:
            raise PluginFault(f"two plugins are called {manifest.name}: {found[manifest.name].source} and {source}")
        found[manifest.name] = Found(checked(manifest, source), source, _missing(manifest, source))
    return [found[name] for name in sorted(found)]


def _installed() -> Iterator[tuple[str, Manifest]]:
    for point in entry_points(group=GROUP):
        try:
            manifest = point.load()
        except Exception as error:
            raise PluginFault(f"plugin {point.name}: {point.value} cannot be imported: {place_of(error)}") from error
        yield point.value, _manifest(manifest, point.value)


def _in_folder(folder: Path) -> Iterator[tuple[str, Manifest]]:
    """Each package of the folder with a MANIFEST is a plugin; the folder becomes a place to import from."""
    if not folder.is_dir():
        raise PluginFault(f"plugins_dir {folder} is not a folder")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    for package in sorted(each for each in folder.iterdir() if (each / "__init__.py").is_file()):
        try:
            module = importlib.import_module(package.name)
        except Exception as error:
            raise PluginFault(f"plugin {package}: cannot be imported: {place_of(error)}") from error
        if not (module.__file__ or "").startswith(str(package.resolve())) and not (module.__file__ or "").startswith(
            str(package)
        ):
            raise PluginFault(f"plugin {package}: another package is called {package.name}: {module.__file__}")
        yield str(package), _manifest(getattr(module, "MANIFEST", None), f"{package}:MANIFEST")


def _manifest(value: Any, source: str) -> Manifest:
    if not isinstance(value, Manifest):
        raise PluginFault(f"plugin {source}: there is no Manifest, but {type(value).__name__}")
    return value


def checked(manifest: Manifest, source: str) -> Manifest:
    """Return the manifest. Raises PluginFault: name, version or API range are none."""
    if not manifest.name.isidentifier():
        raise PluginFault(f"plugin {source}: its name {manifest.name!r} is no identifier")
    try:
        Version(manifest.version)
        wanted = SpecifierSet(manifest.api)
    except (InvalidVersion, InvalidSpecifier) as error:
        raise PluginFault(f"plugin {manifest.name} ({source}): {error}") from None
    ours = ".".join(map(str, API_VERSION))
    if ours not in wanted:
        raise PluginFault(f"plugin {manifest.name} ({source}) is for plugin API {manifest.api}; this server has {ours}")
    return manifest


def _missing(manifest: Manifest, source: str) -> tuple[str, ...]:
    try:
        wanted = [Requirement(text) for text in manifest.packages]
    except InvalidRequirement as error:
        raise PluginFault(f"plugin {manifest.name} ({source}): packages: {error}") from None
    return tuple(str(each) for each in wanted if not _is_there(each))


def _is_there(wanted: Requirement) -> bool:
    try:
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except PackageNotFoundError:
        return False


def place_of(error: BaseException) -> str:
    """Return what went wrong and the last line of the plugin where it did."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} at {error.filename}:{error.lineno}"
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f" at {last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last is not None else ""
    return f"{type(error).__name__}: {error}{where}"
