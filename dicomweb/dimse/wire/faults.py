"""How an association ends before its time."""


class Ended(Exception):
    """The association is over, in order or not."""


class Released(Ended):
    """The other side has released it."""


class Aborted(Ended):
    """The other side has aborted it, or is gone."""


class Refused(Ended):
    """The other side has refused an association; result, source and reason as PS3.8 section 9.3.4 numbers them."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        said = said_of(source, reason)
        super().__init__(f"the association was refused{' for now' if result == _TRANSIENT else ''}: {said}")
        self.result, self.source, self.reason = result, source, reason


class ProtocolFault(Exception):
    """The other side does not keep to the protocol; `reason` of A-ABORT: PS3.8 table 9-26."""

    def __init__(self, said: str, reason: int = 0) -> None:
        super().__init__(said)
        self.reason = reason


_TRANSIENT = 2
_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


def said_of(source: int, reason: int) -> str:
    """Return in words why an association was refused."""
    return _REASONS.get((source, reason), "it gave no reason")
