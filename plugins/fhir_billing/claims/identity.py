"""Identity of claims: the same claim submitted twice, at the same instant too, counts once."""

from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from fhir_billing.claims.records import IDENTITIES
from fhir_server.plugin_api import RecordChange, encode

_NOT_CONTENT: Final = frozenset(("id", "meta", "text", "created", "identifier"))


def identity_of(claim: Mapping[str, Any], payor: str) -> str:
    """Return the key of a claim at a payer: by its first identifier, else by its content."""
    identifier = next(iter(claim.get("identifier", ())), None)
    provider = str(claim.get("provider", {}).get("reference", ""))
    if identifier is None or not identifier.get("value"):
        return sha256(f"{payor}\x1f{digest(claim)}".encode()).hexdigest()
    parts = (payor, provider, str(identifier.get("system", "")), str(identifier["value"]))
    return sha256("\x1f".join(parts).encode()).hexdigest()


def digest(claim: Mapping[str, Any]) -> str:
    """Return a digest of what a claim asks, whatever its id and time of making."""
    kept = {name: value for name, value in claim.items() if name not in _NOT_CONTENT}
    return sha256(encode(_plain(kept))).hexdigest()


def _plain(value: Any) -> Any:
    """Return content without what clients may change of it: the order of members, and zeros at the end of decimals."""
    if isinstance(value, str):  # what most is: looked at first
        return value
    if isinstance(value, dict):
        return {name: each if type(each) is str else _plain(each) for name, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return format(Decimal(value).normalize(), "f")
    return _plain(dict(value)) if isinstance(value, Mapping) else value


def identity_change(key: str, claim: str, content: str, revision: int) -> RecordChange:
    """Return the record that binds an identity to a claim."""
    return RecordChange(IDENTITIES.name, key, {"claim": claim, "digest": content}, expected=revision)
