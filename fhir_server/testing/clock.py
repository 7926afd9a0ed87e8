"""FakeClock: the time of a test."""

_START = 1_750_000_000_000


class FakeClock:
    """Milliseconds since 1970 UTC that stand still unless told to go on."""

    def __init__(self, now: int = _START) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * 1000)
