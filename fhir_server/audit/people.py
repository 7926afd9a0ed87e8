"""Names of those who stand in the audit by the id of their account alone: staff without a record of their own."""

from collections.abc import Iterable

from fhir_server.auth.records import USERS
from fhir_server.storage.base import Store


async def account_names(store: Store, accounts: Iterable[str]) -> dict[str, str]:
    """Return the name of each account that is there, by its id."""
    found = {}
    for account in sorted(set(accounts)):
        record = await store.records.get(USERS.name, account)
        if record is not None:
            found[account] = str(record.value.get("display") or record.value.get("name") or account)
    return found
