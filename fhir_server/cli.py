"""`fhir-server`: the console script; each subcommand is a module of `commands`."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

import httpx

from fhir_server.commands import (
    audit,
    backup,
    clients,
    export,
    fhirpath,
    keys,
    load,
    packages,
    privacy,
    reindex,
    serve,
    tenants,
    terminology,
    users,
)  # fmt: skip
from fhir_server.commands.configuration import ConfigurationError, add_flags, read_settings
from fhir_server.serving.door import CommandFailed
from fhir_server.settings import Settings


class Command(Protocol):
    """A module of `commands`."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add what the command takes besides settings."""

    def run(self, settings: Settings, flags: argparse.Namespace, /) -> int:
        """Do the work; return the exit status."""


_COMMANDS: Mapping[str, Command] = {
    "serve": serve,
    "load": load,
    "export": export,
    "reindex": reindex,
    "backup": backup,
    "restore": backup.restoring,
    "fhirpath": fhirpath,
    "packages": packages,
    "terminology": terminology,
    "users": users,
    "clients": clients,
    "tenants": tenants,
    "keys": keys,
    "audit": audit,
    "privacy": privacy,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its exit status (0 good, 1 failed, 2 wrong usage)."""
    parser = argparse.ArgumentParser(prog="fhir-server", description="A FHIR R4 server that is the system of record.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        sub = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(sub)
        add_flags(sub)
    flags = parser.parse_args(arguments)
    try:
        settings = read_settings(flags, os.environ)
        return _COMMANDS[flags.command].run(settings, flags)
    except (ConfigurationError, CommandFailed) as error:
        print(f"fhir-server {flags.command}: {error}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, ConfigurationError) else 1
    except httpx.TransportError as error:
        print(f"fhir-server {flags.command}: the server went away: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
