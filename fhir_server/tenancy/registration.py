"""Registration: what is known of one tenant beside its store."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import msgspec
from pydantic import ValidationError

from fhir_server.auth.limits import BadLimit, rules_of
from fhir_server.errors import BadValue
from fhir_server.settings import Settings

DEFAULT: Final = "default"
"""The tenant at `/fhir`, which is there always."""

State = Literal["creating", "active", "suspended", "erased"]

OVERRIDES: Final = (
    "page_size", "max_page_size", "max_delete", "conditional_delete", "unknown_parameters", "validation",
    "update_create", "integrity_on_delete", "integrity_on_write", "search_timeout", "max_includes", "shared_types",
    "token_life", "refresh_life", "refresh_grace", "code_life", "session_life", "sign_in_failures", "sign_in_lock",
    "password_length", "strong_roles", "break_glass_roles", "break_glass_life",
    "rate_tenant", "rate_client", "rate_user", "consent", "consent_default", "app_state_bytes", "app_state_most",
)  # fmt: skip
"""The settings that a tenant may have its own value of (docs/tenants.md)."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.\-]{0,251}[a-z0-9])?", re.ASCII)
_LONGEST: Final = 200
_MOST_HOSTS: Final = 50


@dataclass(frozen=True, slots=True)
class Registration:
    """One tenant.

    Attributes:
        reason: why it is suspended, for its users to read.
        settings: its own values of settings. hosts: names of hosts that serve it at `/fhir`.
        max_resources, max_bytes: what its store may hold; 0: no limit.
        region: where alone it is served; empty: anywhere.
        created: milliseconds since 1970 UTC. certificate: what was erased, once it is.
        serial: grows with each change of any registration.
    """

    name: str
    display: str = ""
    state: State = "creating"
    reason: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    max_resources: int = 0
    max_bytes: int = 0
    created: int = 0
    certificate: Mapping[str, Any] = field(default_factory=dict)
    region: str = ""
    serial: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as administrators see it."""
        shown = asdict(self)
        del shown["serial"]
        return {**shown, "hosts": list(self.hosts)}

    def served_in(self, region: str) -> bool:
        """Tell whether a server of this region serves it; one without a region serves what is bound to none."""
        return self.state == "active" and self.region in ("", region)

    def over(self, settings: Settings) -> Settings:
        """Return the settings in force for it; what this release does not take any more is left out."""
        if not self.settings:
            return settings
        try:
            return _merged(settings, self.settings)
        except ValidationError:
            return settings


def read_registration(value: Mapping[str, object]) -> Registration:
    """Return a stored one."""
    return msgspec.convert(dict(value), Registration)


def is_name(name: str) -> bool:
    """Tell whether a tenant may be called so."""
    return _NAME.fullmatch(name) is not None


def checked(registration: Registration, settings: Settings) -> Registration:
    """Return it with hosts folded. Raises BadValue: something of it cannot be."""
    if registration.name == DEFAULT or not is_name(registration.name):
        raise BadValue("the name of a tenant is made of a-z, 0-9, '_' and '-', 63 at most, and is not 'default'")
    if len(registration.display) > _LONGEST or len(registration.reason) > _LONGEST:
        raise BadValue(f"display and reason have {_LONGEST} characters at most")
    if registration.max_resources < 0 or registration.max_bytes < 0:
        raise BadValue("a limit is 0 (none) or more")
    _check_region(registration.region, settings)
    hosts = tuple(dict.fromkeys(host.lower().rstrip(".") for host in registration.hosts))
    if len(hosts) > _MOST_HOSTS or not all(_HOST.fullmatch(host) for host in hosts):
        raise BadValue(f"hosts are names without a port, {_MOST_HOSTS} at most")
    _check_settings(registration.settings, settings)
    return replace(registration, hosts=hosts)


def _check_region(region: str, settings: Settings) -> None:
    known = {settings.region, *(pair.partition("=")[0] for pair in settings.region_urls)} - {""}
    if region and region not in known:
        said = f"it knows {', '.join(sorted(known))}" if known else "the setting `region` is not set"
        raise BadValue(f"this server knows no region {region[:40]!r}: {said}")


def _check_settings(given: Mapping[str, Any], settings: Settings) -> None:
    unknown = [name for name in given if name not in OVERRIDES]
    if unknown:
        raise BadValue(f"a tenant has no {', '.join(unknown)[:200]} of its own; it may have {', '.join(OVERRIDES)}")
    try:
        rules_of(_merged(settings, given))
    except BadLimit as error:
        raise BadValue(str(error)) from None
    except ValidationError as error:
        said = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise BadValue(said[:500]) from None


def _merged(settings: Settings, given: Mapping[str, Any]) -> Settings:
    known = {name: value for name, value in given.items() if name in OVERRIDES}
    return Settings.model_validate({**settings.model_dump(), **known})


def public_base(settings: Settings, tenant: str) -> str:
    """Return the URL of a tenant's endpoint below the public one of the settings; empty where they name none."""
    base = settings.base_url.rstrip("/")
    return base if tenant == DEFAULT or not base else f"{base.removesuffix('/fhir')}/t/{tenant}/fhir"
