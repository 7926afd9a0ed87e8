"""The command line: which command is meant, its flags, its exit status. Only the command that is meant is loaded."""

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from typing import Any, Final, Protocol

import httpx

from fhir_server.commands.configuration import ConfigurationError, add_flags, read_settings
from fhir_server.plugins import PluginFault, load_plugins
from fhir_server.plugins.registrations import Command as PluginsCommand
from fhir_server.plugins.registrations import CommandFailed
from fhir_server.settings import Settings

_MOUNTED_OTHERWISE: Final = (errno.EROFS, errno.EACCES, errno.EPERM)
"""What a folder answers that is mounted read-only, or is another user's."""

Door = Callable[[], AbstractContextManager[httpx.Client]]


class Command(Protocol):
    """A module of `commands`."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add what the command takes besides settings."""

    def run(self, settings: Settings, flags: argparse.Namespace, /) -> int:
        """Do the work; return the exit status."""


_COMMANDS: Final[Mapping[str, str]] = {
    "serve": "serve",
    "load": "load",
    "export": "export",
    "reindex": "reindex",
    "backup": "backup",
    "restore": "backup.restoring",
    "drill": "drill",
    "migrate": "migrate",
    "upgrade": "upgrade",
    "fhirpath": "fhirpath",
    "packages": "packages",
    "plugins": "plugins",
    "terminology": "terminology",
    "users": "users",
    "clients": "clients",
    "masks": "masks",
    "tenants": "tenants",
    "keys": "keys",
    "audit": "audit",
    "feed": "feed",
    "jobs": "jobs",
    "privacy": "privacy",
}
"""Each with its place in this package."""


class PluginCommand:
    """A command of a plugin, as a module of `commands`."""

    def __init__(self, command: PluginsCommand) -> None:
        self.HELP, self.add_arguments = command.help, command.add_arguments
        self.run = command.run if command.ask is None else self._ask(command.ask, command.needs_record)

    @staticmethod
    def _ask(
        ask: Callable[[Door, argparse.Namespace], int], needs_record: Collection[str]
    ) -> Callable[[Settings, argparse.Namespace], int]:
        def run(settings: Settings, flags: argparse.Namespace) -> int:
            from fhir_server.serving.door import local_client  # it brings the whole server along

            flags.settings = settings
            begins = getattr(flags, "action", "") not in needs_record
            return ask(partial(local_client, settings, begins=begins), flags)

        return run


def _own(name: str) -> Command:
    module, _, member = _COMMANDS[name].partition(".")
    found: Any = import_module(f"fhir_server.commands.{module}")
    command: Command = getattr(found, member) if member else found
    return command


def commands_of(arguments: Sequence[str]) -> Mapping[str, Command]:
    """Return the command that is meant, or all of them, those of plugins too: loading these takes a while."""
    if arguments and arguments[0] in _COMMANDS:
        return {arguments[0]: _own(arguments[0])}
    settings = read_settings(argparse.Namespace(config=None), os.environ)
    found = {name: _own(name) for name in _COMMANDS}
    for plugin, command in load_plugins(settings).registered("register_commands"):
        if command.name in found:
            raise PluginFault(f"plugin {plugin.name}: there is a command {command.name} already")
        found[command.name] = PluginCommand(command)
    return found


def parser_of(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return what reads the arguments of commands."""
    parser = argparse.ArgumentParser(prog="fhir-server", description="A FHIR R4 server that is the system of record.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in commands.items():
        sub = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(sub)
        add_flags(sub)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run one subcommand; return its exit status (0 good, 1 failed, 2 wrong usage)."""
    try:
        commands = commands_of(arguments)
    except (ConfigurationError, PluginFault) as error:
        print(f"fhir-server: {error}", file=sys.stderr)  # noqa: T201
        return 2
    flags = parser_of(commands).parse_args(arguments)
    try:
        settings = read_settings(flags, os.environ)
        if flags.command != "serve":  # which loads more, and looks for garbage once it answers
            gc.freeze()
            gc.enable()
        return commands[flags.command].run(settings, flags)
    except (ConfigurationError, CommandFailed, PluginFault) as error:
        print(f"fhir-server {flags.command}: {error}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, ConfigurationError) else 1
    except httpx.TransportError as error:
        print(f"fhir-server {flags.command}: the server went away: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        if error.errno not in _MOUNTED_OTHERWISE:
            raise
        print(f"fhir-server {flags.command}: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
