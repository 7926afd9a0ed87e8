"""The counts of several nodes in Redis: a key for each window, which goes away with it.

Spec: https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

import time
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fhir_server.auth.counts.counts import CountsAway, Window
from fhir_server.auth.secrets import digest

_TAKE: Final = """
local count = tonumber(redis.call('GET', KEYS[1]) or '0')
local given = math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - count)
if given <= 0 then return 0 end
redis.call('INCRBY', KEYS[1], given)
redis.call('EXPIREAT', KEYS[1], ARGV[3])
return given
"""
_PATIENCE: Final = 0.25
"""Seconds that Redis has for an answer: a request waits for it."""

_REST: Final = 2.0
"""Seconds for which a Redis that did not answer is left alone."""

_AFTER: Final = 60
"""Seconds for which the key of a window stays after it, should the clocks of Redis and the nodes differ."""


class RedisCounts:
    """Counts of all nodes whose databases have the same `prefix`."""

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
        self._take = self._redis.register_script(_TAKE)
        self._prefix, self._rests_until = prefix, 0.0

    async def take(self, name: str, window: Window, most: int, wanted: int) -> int:
        """Take up to `wanted` of what is left of a window, in one step. Raises CountsAway."""
        if time.monotonic() < self._rests_until:
            raise CountsAway("Redis did not answer a moment ago")
        key = f"{self._prefix}:rate:{digest(name)}:{window.number}"
        try:
            given = await self._take(keys=[key], args=[wanted, most, window.ends + _AFTER])
        except (RedisError, OSError) as error:
            self._rests_until = time.monotonic() + _REST
            raise CountsAway(f"Redis does not answer ({type(error).__name__})") from error
        return int(cast(Any, given))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
