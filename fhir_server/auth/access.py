"""From the bearer token of a request to who asks and what they may see.

A token is looked up in the store at most once in `token_check` seconds by each worker, so a revoked one is refused
that much later at the most.

Spec: https://www.rfc-editor.org/rfc/rfc6750
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256

from fhir_server.auth.consents import Consents
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import Grant, find_grant
from fhir_server.auth.restriction import Granted, Narrow, Reach
from fhir_server.auth.scopes import Scopes, parse_scopes
from fhir_server.auth.tokens import Found, find_token
from fhir_server.definitions import Definitions
from fhir_server.errors import Unauthorized
from fhir_server.search.parameters import ParameterRegistry

_MOST = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """One token that is good: its grant, its scopes, and the restriction that follows."""

    grant: Grant
    scopes: Scopes
    restriction: Granted


@dataclass(slots=True)
class _Seen:
    """A token that was seen.

    until: milliseconds; the store need not be asked before. access: what it gives. limited: what consent and labels
    leave of that, as found out in a generation of the Consents; None where it has to be found out.
    """

    until: int
    access: Access
    limited: Access | None = None
    generation: int = -1


class Tokens:
    """The tokens that a worker has seen lately, of one tenant.

    Args:
        narrow: reads the query of a granular scope; another one, when the tenant's search parameters change.
    """

    def __init__(
        self, facts: Definitions, narrow: Narrow, parameters: ParameterRegistry | None = None, tenant: str = "default"
    ) -> None:
        self._facts = facts
        self._narrow = narrow
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self.consents = Consents(facts, narrow, parameters, tenant)

    async def access(self, desk: Desk, header: str | None) -> Access:
        """Return what the value of an Authorization header stands for.

        Raises:
            Unauthorized: there is none, or it is not good; with the challenge that RFC 6750 asks for.
        """
        token = _bearer(header)
        key, now = sha256(token.encode()).digest(), desk.now()
        seen = self._seen.get(key)
        if seen is None or now >= seen.until:
            found = await find_token(desk, token)
            if found is None or found.kind != "access":
                self._seen.pop(key, None)
                raise _not_good()
            seen = self._remembered(desk, key, found)
        elif seen.limited is not None and seen.generation == self.consents.generation and self.consents.fresh(now):
            return seen.limited
        generation = self.consents.generation  # that of before: if it grows meanwhile, this is found out anew
        limited = await self._limited(desk, seen.access)
        seen.limited, seen.generation = limited, generation
        return limited

    async def under(self, desk: Desk, grant_id: str) -> Access:
        """Return what a grant gives, for work that goes on without its token. Raises Unauthorized: it has ended."""
        grant = await find_grant(desk, grant_id)
        if grant is None:
            raise refused("what this work was granted has ended", "invalid_token")
        return await self._limited(desk, self._made(desk, grant, grant.scopes))

    async def made(self, desk: Desk, grant: Grant, *, limited: bool) -> Access:
        """Return what a grant gives that is in no store; `limited`: by consent and labels."""
        access = self._made(desk, grant, grant.scopes)
        return await self._limited(desk, access) if limited else access

    async def _limited(self, desk: Desk, access: Access) -> Access:
        """Return the access as far as consent and labels let it be at this moment."""
        limits = await self.consents.limits(desk, access.grant)
        mask = await self.consents.mask(desk, access.grant)
        if limits is None and mask is None:
            return access
        return replace(access, restriction=access.restriction.within(limits, mask))

    def _remembered(self, desk: Desk, key: bytes, found: Found) -> _Seen:
        until = min(found.expires, desk.after(desk.settings.token_check))
        seen = self._seen.get(key)
        if seen is None or seen.access.grant != found.grant:
            seen = self._seen[key] = _Seen(until, self._made(desk, found.grant, found.scopes))
        seen.until = until
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)
        return seen

    def _made(self, desk: Desk, grant: Grant, granted: str) -> Access:
        scopes = parse_scopes(granted)
        reach = reach_of(grant, scopes)
        return Access(grant, scopes, Granted(reach, self._facts, desk.settings.shared_types, self._narrow))


def reach_of(grant: Grant, scopes: Scopes) -> Reach:
    """Return whose data a grant is about: the patient of the launch; for a user who is a patient, their own."""
    holder = grant.user or grant.client
    return Reach(scopes, (grant.patient,) if grant.patient else (), grant.represented, holder)


def stranger(header: str | None) -> Unauthorized:
    """Return the refusal of a token that is not good, for a tenant that does not exist: nobody can tell the two."""
    try:
        _bearer(header)
    except Unauthorized as refusal:
        return refusal
    return _not_good()


def _not_good() -> Unauthorized:
    return refused("the access token is not good: it has expired, was revoked, or never was", "invalid_token")


def refused(said: str, error: str = "") -> Unauthorized:
    """Return the refusal with its challenge; without an error code where nobody tried to authenticate."""
    refusal = Unauthorized(said, expression="http.authorization")
    detail = f', error="{error}", error_description="{said}"' if error else ""
    refusal.headers["www-authenticate"] = f'Bearer realm="fhir"{detail}'
    return refusal


def _bearer(header: str | None) -> str:
    if not header:
        raise refused("this server needs an access token: Authorization: Bearer ...")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise refused("the Authorization header holds no bearer token", "invalid_request")
    return token.strip()
