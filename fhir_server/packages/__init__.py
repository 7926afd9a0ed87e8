"""Conformance resources by canonical URL: R4's own, those of packages, those that a tenant stores."""

from fhir_server.packages.archive import Limits, Package, PackageError, examples_of, read_package
from fhir_server.packages.core import core_library
from fhir_server.packages.folder import folder_packages
from fhir_server.packages.library import CANONICAL_TYPES, Entry, Library, entry_of
from fhir_server.packages.stored import load_library

__all__ = [
    "CANONICAL_TYPES",
    "Entry",
    "Library",
    "Limits",
    "Package",
    "PackageError",
    "core_library",
    "entry_of",
    "examples_of",
    "folder_packages",
    "load_library",
    "read_package",
]
