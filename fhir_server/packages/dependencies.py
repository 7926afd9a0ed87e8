"""Which packages a package needs and does not find."""

from collections.abc import Iterable

from fhir_server.packages.archive import CORE_PACKAGES, Package


def missing(package: Package, present: Iterable[Package]) -> list[str]:
    """Return the dependencies that are not there, each as `name#version`, with the version that is there instead.

    The core of R4 is part of the server. A version may end in `x`: `2.0.x` is any of 2.0.
    """
    versions: dict[str, list[str]] = {}
    for other in present:
        versions.setdefault(other.name, []).append(other.version)
    found: list[str] = []
    for name, version in sorted(package.dependencies.items()):
        there = versions.get(name, [])
        if name not in CORE_PACKAGES and not any(_fits(version, one) for one in there):
            instead = f" (there is {', '.join(sorted(there))})" if there else ""
            found.append(f"{name}#{version}{instead}")
    return found


def _fits(wanted: str, version: str) -> bool:
    if wanted.endswith((".x", ".*")):
        return f"{version}.".startswith(wanted[:-1])
    return wanted in ("", "latest", "*", "current", version)
