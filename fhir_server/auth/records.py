"""The collections in which one tenant keeps what authority is made of. Secrets are kept as digests alone."""

from fhir_server.storage.base import Collection, RecordField

_EXPIRES = RecordField("expires", "integer")

CLIENTS = Collection("auth.clients", (RecordField("name"),))
"""Registered apps, by client_id."""

USERS = Collection("auth.users", (RecordField("name", unique=True), RecordField("subject")))
"""People who sign in, by random id; `name` is folded, `subject` is `Practitioner/1`."""

IDENTITIES = Collection("auth.identities", (RecordField("user"),))
"""Which user an identity at a provider is, by its digest; written with the user."""

SESSIONS = Collection("auth.sessions", (RecordField("user"), _EXPIRES))
"""Signed-in browsers, by the digest of their cookie."""

GRANTS = Collection("auth.grants", (RecordField("user"), RecordField("client"), _EXPIRES), patient="patient")
"""What a user, or a client on its own, was granted; all tokens of it die with it. By random id."""

CODES = Collection("auth.codes", (_EXPIRES,))
"""Authorization codes, by digest; kept after use until they expire, so that a second use is noticed."""

TOKENS = Collection("auth.tokens", (RecordField("grant"), _EXPIRES))
"""Access and refresh tokens, by digest."""

LAUNCHES = Collection("auth.launches", (_EXPIRES,))
"""Contexts that an EHR launches an app with, by the digest of the opaque `launch` value."""

KEYS = Collection("auth.keys", (RecordField("created", "integer"),))
"""Signing keys, by key id."""

ONCE = Collection("auth.once", (_EXPIRES,))
"""What must not come twice (jti of assertions), by digest."""

COUNTERS = Collection("auth.counters", (_EXPIRES,))
"""Failed sign-ins and the like, by what is counted."""

RATES = Collection("auth.rates", (_EXPIRES,))
"""How much was taken of each rate limit, by the digest of whom it is about; in the default tenant alone."""

APP_STATE = Collection(
    "auth.app_state", (RecordField("code"), RecordField("subject"), RecordField("client")), patient="patient"
)
"""What apps keep for their users, for patients, or for all who use them, by random id."""

MASKS = Collection("auth.masks")
"""What is hidden from the users of roles: one record with the rules of all."""

COLLECTIONS = (
    CLIENTS,
    USERS,
    IDENTITIES,
    SESSIONS,
    GRANTS,
    CODES,
    TOKENS,
    LAUNCHES,
    KEYS,
    ONCE,
    COUNTERS,
    APP_STATE,
    MASKS,
)
