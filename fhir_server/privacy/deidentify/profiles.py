"""The rules that come with the server."""

from functools import cache
from importlib.resources import files
from typing import Final

from fhir_server.definitions import Definitions
from fhir_server.privacy.deidentify.rules import RuleSet, read_rules

PROFILES: Final = ("safe-harbor", "shifted-dates")


@cache
def profile(name: str, facts: Definitions) -> RuleSet:
    """Return the rules of one of `PROFILES`.

    Source: https://www.hhs.gov/hipaa/for-professionals/special-topics/de-identification/index.html
    """
    return read_rules(files("fhir_server.privacy").joinpath(f"profiles/{name}.json").read_bytes(), facts)
