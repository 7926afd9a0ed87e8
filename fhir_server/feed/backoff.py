"""How long to wait before the next try."""

from random import uniform

from fhir_server.settings import Settings


def delay(attempts: int, settings: Settings) -> int:
    """Return milliseconds to wait after so many failures: twice as long each time, up to the longest, with jitter, so
    that not all who failed together come again together."""
    longest = min(settings.feed_retry_longest, settings.feed_retry_first * 2.0 ** min(attempts - 1, 40))
    return round(1_000 * longest * uniform(0.5, 1))  # noqa: S311  # no secret
