"""Write docs/smart.md: what the server does of SMART App Launch, from the table of requirements and its tests."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.conformance.smart.requirements import DECISIONS, SPECIFICATION, Requirement, listed, proofs  # noqa: E402

PLACE = ROOT / "docs" / "smart.md"
_TITLES = {
    "app-launch.html": "App launch",
    "scopes-and-launch-context.html": "Scopes and launch context",
    "backend-services.html": "Backend services",
    "token-introspection.html": "Token introspection",
    "client-confidential-asymmetric.html": "Clients that sign",
    "client-confidential-symmetric.html": "Clients with a secret",
    "conformance.html": "Conformance and discovery",
    "brands.html": "User-access brands",
}
_HEAD = """# SMART App Launch 2.2

<!-- made by scripts/generate_smart.py from tests/conformance/smart; a test holds it up to date -->

The authorization server is part of the process and lies beside each FHIR endpoint: `/fhir` has `/auth`, and
`/t/{tenant}/fhir` has `/t/{tenant}/auth`. `GET /fhir/.well-known/smart-configuration` says what it offers.

| endpoint | what it is |
|---|---|
| `/auth/authorize` | an app asks (GET or POST); PKCE with S256 is needed of every client, redirect URIs match exactly |
| `/auth/token` | `authorization_code`, `refresh_token`, `client_credentials` (clients that sign alone) |
| `/auth/introspect` | RFC 7662: clients ask for their own tokens, with the scope `__introspect` for those of all |
| `/auth/revoke` | RFC 7009; a refresh token takes all tokens of its grant along |
| `/auth/register` | RFC 7591, where the setting `client_registration` opens it; never for `system/` scopes |
| `/auth/launch` | an EHR makes a `launch` value (below) |
| `/auth/manage` | a user sees and ends what apps may do |
| `/auth/jwks` | the public keys of id_tokens (RS256); they rotate |
| `/auth/style.json` | colours and lengths for apps that want to look like these pages |
| `/auth/user-access-brands.json` | the Bundle of the setting `brands_file` |

## Decisions that apps notice

- A `patient/` scope is about the one patient of the launch. `Patient.link` is not followed: a record that is linked to
  that patient's is another patient's, and is not reached.
- A user who is a patient, or stands for one, is never shown a picker of others, and an EHR cannot launch them into the
  record of another.
- A refresh token is replaced at each use. For 60 seconds its predecessor gets the same answer again, so a lost reply
  logs nobody out; after that a second use ends the grant. `online_access` ends with the session of the user.
- Access tokens are opaque, live for an hour at most, those of backend services for five minutes.
- An update that creates needs the scope to update (`u`), a create by POST the scope to create (`c`).
- An assertion names one audience, the token endpoint; its `exp` is at most five minutes ahead, its `jti` good once.
- JWKS URLs are https, lead to public addresses, are not redirected, and are kept as long as `Cache-Control` says, five
  minutes where it says nothing, an hour at most.
- State of apps (`smart-app-state`, experimental) lies at an endpoint of its own, below.

## State of apps

An app without a place of its own keeps preferences or keys here, as small `Basic` resources for a user, for a patient,
or (without subject) for all who use it. The endpoint is the associated one with the capability `smart-app-state`:
`/auth/app-state`, with `POST Basic`, `PUT` and `DELETE Basic/[id]` (with `If-Match`, else 412),
`GET Basic?code=system|code&subject=URL` and `GET Basic?code=system|code&subject:missing=true`.

- A state has exactly one coding with system and code, a subject by its absolute URL on this server (Patient,
  Practitioner, PractitionerRole, RelatedPerson, Person) or none, and extensions with `valueString`. What else is
  sent is refused, not dropped. `app_state_bytes` (256 KB) and `app_state_most` (100 of one code and subject) are
  the limits.
- State is apart from the record: no search, history or export of resources shows it. It is erased with its patient,
  and stays as long as its app is registered and after.
- An app has the codes that an administrator names (`fhir-server clients change ID --state-code
  'https://app.example|keys'`, `https://app.example|` for all of a system); where none are named, those whose system
  lies at the https origin of one of its redirect URIs.
- Scopes on `Basic` let it create (`c`), change (`u`), delete (`d`) and find (`s`), narrowed by `?code=` where they
  are. `patient/` reaches the patient of the launch, `user/` the user, their roles and persons, and patients whom
  the user may read with the same token. Global state is changed by administrators and `system/` scopes alone.
- What an app stores may be part of the health record. Apps must treat what they read here as the text of a
  stranger.

## Launch from an EHR

`POST /auth/launch` with a bearer token that has the scope `__launch`, and JSON:

```json
{"client_id": "growth-chart",
 "user": "dr-grey",
 "context": {"patient": "123", "encounter": "456", "intent": "reconcile-medications", "need_patient_banner": false,
             "fhirContext": [{"reference": "ImagingStudy/789"}], "tenant": "ward-7"}}
```

The answer has `launch`, good once and for 15 minutes, for this app and this user (that of the token, else the one
who is named, else whoever signs in), and `launch_url` where the app has registered one. Who makes it must be able to
see what the context names.
"""


def text() -> str:
    """Return the document."""
    requirements, found = listed(), proofs()
    levels = Counter(each.level for each in requirements)
    proved = Counter(each.level for each in requirements if each.id in found)
    lines = [_HEAD, "## Requirements", "", "| level | requirements | proved by tests | decided |", "|---|---|---|---|"]
    lines += [f"| {level} | {n} | {proved[level]} | {n - proved[level]} |" for level, n in levels.most_common()]
    for page in dict.fromkeys(each.section.partition("#")[0] for each in requirements):
        lines += ["", f"### {_TITLES.get(page, page)}", "", "| number | level | how |", "|---|---|---|"]
        lines += _rows([each for each in requirements if each.section.startswith(page)], found)
    return "\n".join(lines) + "\n"


def _rows(requirements: list[Requirement], found: dict[str, list[str]]) -> Iterator[str]:
    for each in requirements:
        link = f"[{each.id}]({SPECIFICATION}{each.section})"
        yield f"| {link} | {each.level} | {_how(each.id, found)} |"


def _how(id_: str, found: dict[str, list[str]]) -> str:
    if id_ not in found:
        decision = DECISIONS[id_]
        return f"{decision.kind}: {decision.reason}"
    names = dict.fromkeys(found[id_])
    return "; ".join(name.partition("::")[2].removeprefix("test_").replace("_", " ") for name in names)


if __name__ == "__main__":
    PLACE.write_text(text())
