"""docs/feed.md is held to the code."""

import argparse
import re
from pathlib import Path

import fhir_bridges.settings

from fhir_server import plugin_api
from fhir_server.commands import feed, jobs
from fhir_server.settings import Settings

TEXT = (Path(__file__).parents[3] / "docs" / "feed.md").read_text()


def test_its_python_is_python_and_names_what_there_is() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        compile(block, "feed.md", "exec")
    names = {name for line in re.findall(r"plugin_api import (.*)", TEXT) for name in line.split(", ")}
    assert names and names <= set(plugin_api.__all__)
    assert {"JobFile", "Scheduled", "FhirResponse"} <= set(plugin_api.__all__)


def test_its_settings_are_settings() -> None:
    named = set(re.findall(r"`((?:feed|job|jobs|retention|schedule)_[a-z_]+)`", TEXT))
    assert named
    assert named <= set(Settings.model_fields)


def test_its_commands_are_commands() -> None:
    for name, module in (("feed", feed), ("jobs", jobs)):
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        actions = next(action for action in parser._actions if action.dest == "action")
        used = set(re.findall(rf"(?:fhir-server {name}|`{name}|^{name}) ([a-z]+)", TEXT))
        assert used
        assert used <= set(actions.choices or ())


def test_its_bridges_can_be_configured_so() -> None:
    import tomllib

    block = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert block is not None
    found = tomllib.loads(block[1])["plugins"]["fhir_bridges"]
    settings = fhir_bridges.settings.BridgeSettings(**found)
    assert (settings.out[0].kind, settings.into[0].tenant) == ("webhook", "default")
