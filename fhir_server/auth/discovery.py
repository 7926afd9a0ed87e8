"""What the authorization server tells apps about itself, without being asked who they are.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-well-known
"""

from typing import Any

from fhir_server.auth import keys
from fhir_server.auth.assertions import ALGORITHMS
from fhir_server.auth.brands import Brands
from fhir_server.auth.scopes import offered

CAPABILITIES = (
    "launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric",
    "client-confidential-asymmetric", "sso-openid-connect", "context-banner", "context-style",
    "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient", "context-standalone-encounter",
    "permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1",
    "permission-v2",
)  # fmt: skip
_SCOPES = (
    "openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access",
    "patient/*.cruds", "user/*.cruds", "system/*.cruds", "patient/*.read", "patient/*.write", "patient/*.*",
    "user/*.read", "user/*.write", "user/*.*",
)  # fmt: skip
_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


APP_STATE = "app-state"
"""Where apps keep their state, beside the other endpoints.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html#discovery
"""

BRANDS = "user-access-brands.json"
"""Where the brands lie beside the other endpoints."""


def smart_configuration(issuer: str, auth: str, *, registration: bool, brands: Brands | None = None) -> dict[str, Any]:
    """Return `.well-known/smart-configuration`; `auth` is the URL below which the endpoints are."""
    found = {
        **_common(issuer, auth, registration=registration),
        "management_endpoint": f"{auth}/manage",
        "capabilities": list(CAPABILITIES),
        "associated_endpoints": [
            {"url": issuer, "capabilities": list(CAPABILITIES)},
            {"url": f"{auth}/{APP_STATE}", "capabilities": ["smart-app-state"]},
        ],
    }
    if brands is not None:
        found["user_access_brand_bundle"] = f"{auth}/{BRANDS}"
        found["user_access_brand_identifier"] = dict(brands.identifier)
    return found


def openid_configuration(issuer: str, auth: str, *, registration: bool) -> dict[str, Any]:
    """Return `.well-known/openid-configuration`. Spec: https://openid.net/specs/openid-connect-discovery-1_0.html"""
    return {
        **_common(issuer, auth, registration=registration),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [keys.ALGORITHM],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser"],
        "response_modes_supported": ["query"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
    }


def oauth_metadata(issuer: str, auth: str, *, registration: bool) -> dict[str, Any]:
    """Return the metadata of RFC 8414, which clients look for that know neither SMART nor OpenID."""
    return _common(issuer, auth, registration=registration)


def _common(issuer: str, auth: str, *, registration: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "issuer": issuer,
        "jwks_uri": f"{auth}/jwks",
        "authorization_endpoint": f"{auth}/authorize",
        "token_endpoint": f"{auth}/token",
        "introspection_endpoint": f"{auth}/introspect",
        "revocation_endpoint": f"{auth}/revoke",
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "scopes_supported": [*_SCOPES, *sorted(offered())],
        "authorization_response_iss_parameter_supported": True,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
    }
    return found | ({"registration_endpoint": f"{auth}/register"} if registration else {})


def style() -> dict[str, str]:
    """Return the colours and lengths that an app may take over to look like our own pages.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#styling
    """
    return {
        "color_background": "#ffffff",
        "color_error": "#b00020",
        "color_highlight": "#0b62c4",
        "color_modal_backdrop": "",
        "color_success": "#2e7d32",
        "color_text": "#1b1b1b",
        "dim_border_radius": "6px",
        "dim_font_size": "17px",
        "dim_spacing_size": "16px",
        "font_family_body": "system-ui, sans-serif",
        "font_family_heading": "system-ui, sans-serif",
    }
