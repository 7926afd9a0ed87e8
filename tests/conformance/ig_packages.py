"""The IG packages of the test data, with the library that each is read in."""

from functools import cache

from fhir_server.packages import Library, Package, core_library, read_package
from tests.shared_data import shared_data

NAMES = ("us-core-6.1.0", "us-core-7.0.0", "ips-1.1.0", "davinci-pas-2.2.1")
_BELOW = {"davinci-pas-2.2.1": "us-core-7.0.0"}


@cache
def package(name: str) -> Package:
    """Read one package; skips the calling test where there is no test data."""
    return read_package((shared_data("packages") / f"{name}.tgz").read_bytes())


@cache
def library(name: str) -> Library:
    """Return the conformance resources of a package, over those that it depends on and that there are."""
    below = library(_BELOW[name]) if name in _BELOW else core_library()
    return Library(package(name).entries, below)
