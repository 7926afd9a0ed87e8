"""Settings: who may sign in, and for how long."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Positive, Section


class Authority(Section):
    """Who may sign in, and for how long."""

    auth: Literal["smart", "none"] = Field(
        "smart", description="`smart` asks for tokens; `none` is open to everybody and binds to loopback only."
    )
    token_life: Positive = Field(3_600, description="How long an access token is good, in seconds.")
    refresh_life: Positive = Field(90 * 86_400, description="How long an unused refresh token is good, in seconds.")
    refresh_grace: Positive = Field(
        60, description="Seconds in which a refresh token that was used is answered once more with the same answer."
    )
    code_life: Positive = Field(60, description="How long an authorization code is good, in seconds.")
    sign_in_failures: Positive = Field(5, description="Failed sign-ins in a row after which a user is locked.")
    sign_in_lock: Positive = Field(900, description="How long a user is locked then, in seconds.")
    session_life: Positive = Field(12 * 3_600, description="How long a browser stays signed in, in seconds.")
    brands_file: Path | None = Field(None, description="File with the Bundle of user-access brands, JSON.")
    brand_identifier: str = Field("", description="Identifier of the primary brand: `value` or `system|value`.")
    client_registration: bool = Field(False, description="Whether anybody may register an app (RFC 7591).")
    jwks_inside: bool = Field(
        False, description="Whether JWKS URLs of clients may lie in private networks and be plain HTTP (development)."
    )
    app_state_bytes: Positive = Field(262_144, description="Largest state that an app may keep, in bytes.")
    app_state_most: Positive = Field(100, description="Most states of one code and subject that apps may keep.")
    key_life: Positive = Field(90 * 86_400, description="How long a replaced signing key stays published, in seconds.")
    token_check: Positive = Field(1, description="Seconds in which a worker may not notice that a token was revoked.")
    password_length: int = Field(12, ge=8, le=128, description="Fewest characters of a password.")
    roles_file: Path | None = Field(
        None, description="TOML file with roles: a name and the most scopes its users get; over those of docs/users.md."
    )
    strong_roles: tuple[str, ...] = Field(
        (), description="Roles that count only for users who have an authenticator or a passkey, such as `admin`."
    )
    providers_file: Path | None = Field(
        None, description="TOML file with the OpenID providers that users may sign in with (docs/users.md)."
    )
    break_glass_roles: tuple[str, ...] = Field(
        ("clinician",), description="Roles that may open a patient's whole record in an emergency, giving a reason."
    )
    break_glass_life: Positive = Field(3_600, description="How long an emergency access lasts, in seconds.")
    rate_sign_in: str = Field(
        "120/minute", description="Most sign-ins from one address, as `20/minute;100/hour`; empty: no limit."
    )
    rate_token: str = Field("1200/minute", description="Most calls of the token endpoints by one address.")
    rate_client: str = Field("", description="Most FHIR requests of one app, as `600/minute`; empty: no limit.")
    rate_user: str = Field("", description="Most FHIR requests on behalf of one user.")
    rate_tenant: str = Field("", description="Most FHIR requests with a token to one tenant.")
    rate_address: str = Field("", description="Most FHIR requests of one address, with a token or without.")
