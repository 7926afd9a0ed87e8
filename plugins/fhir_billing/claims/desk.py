"""Desk: what all operations on claims share in one process: tables of rules, and the payers that are set."""

from pathlib import Path
from typing import Any

from fhir_billing.adjudication.library import SHIPPED, Plans, load_all
from fhir_billing.adjudication.loading import BadTable
from fhir_billing.coverage.cover import Cover
from fhir_billing.payers.payer import Payer
from fhir_billing.payers.registry import payers_of
from fhir_billing.settings import BillingSettings
from fhir_server.plugin_api import FhirError


class NoTables(FhirError):
    """The tables of rules have a fault: nothing is decided until it is mended."""

    status, code = 503, "not-supported"


class Desk:
    """Made once in a process. Raises BadTable: a table of rules cannot be used."""

    def __init__(self, settings: BillingSettings, payers: dict[str, Payer] | None = None) -> None:
        folders = (SHIPPED, Path(settings.plans_dir)) if settings.plans_dir else (SHIPPED,)
        self.plans: Plans = load_all(*folders)
        self.settings = settings
        self.payers: dict[str, Payer] = payers_of(settings) if payers is None else payers

    def payer_of(self, cover: Cover, identifiers: tuple[str, ...]) -> str:
        """Return the name of the payer that answers for a coverage; empty: a table of rules does.

        Args:
            identifiers: of the organization that is to pay.
        """
        wanted = {cover.payor, cover.payor_identifier, *identifiers} - {""}
        for name, each in self.settings.payers.items():
            if wanted & set(each.identifiers):
                return name
        return ""

    async def close(self) -> None:
        """Close connections to payers."""
        for each in self.payers.values():
            await each.close()


def desk_of(ctx: Any) -> Desk:
    """Return the desk of this process; ctx: a PluginContext or the Host."""
    if "claims" not in ctx.shared:
        try:
            ctx.shared["claims"] = Desk(ctx.settings)
        except BadTable as error:
            raise NoTables(f"the tables of rules cannot be used: {error}") from error
    desk: Desk = ctx.shared["claims"]
    return desk
