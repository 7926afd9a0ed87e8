"""The packages that lie in a folder and are in force for all tenants."""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from fhir_server.definitions import locate
from fhir_server.packages.archive import Limits, Package, PackageError, read_package

_log = logging.getLogger("fhir_server.packages")


@cache
def folder_packages(folder: Path | None, limits: Limits) -> Sequence[Package]:
    """Return the packages of the installation (`profiles/*.tgz`), then those of a folder; read once a process.

    One that cannot be read is named in the log and left out: it must not keep a server of record from starting.
    """
    found: dict[str, Package] = {}
    for path in [*_archives(locate().parent), *(_archives(folder) if folder else ())]:
        try:
            package = read_package(path.read_bytes(), limits)
        except (PackageError, OSError) as error:
            _log.error("the package %s is not in force: %s", path, error)
        else:
            found[package.id] = package
    return tuple(found.values())


def _archives(folder: Path) -> list[Path]:
    if not folder.is_dir():
        _log.error("the folder of packages %s does not exist", folder)
    return sorted(folder.glob("*.tgz"))
