"""How much work one validation may ask of profiles: a hostile profile, or a hostile resource, is cut off."""

from time import perf_counter

from fhir_server.validation.run import Run

# A step is about a microsecond.
MOST_STEPS = 5_000_000
_SLOW_SECONDS = 0.001
_SPENT, _TOLD = "profiles.spent", "profiles.spent.told"


def spend(run: Run, steps: int) -> bool:
    """Take note of work to come; whether it may be done."""
    spent = run.memo.get(_SPENT, 0) + steps
    run.memo[_SPENT] = spent
    return bool(spent <= MOST_STEPS)


def spent_since(run: Run, start: float) -> None:
    """Take note of work that was done since a time of `perf_counter`, if it was much."""
    elapsed = perf_counter() - start
    if elapsed > _SLOW_SECONDS:
        spend(run, int(elapsed * 1_000_000))


def tell(run: Run) -> None:
    """Say once that not all was checked, where that is so."""
    if run.memo.get(_SPENT, 0) > MOST_STEPS and _TOLD not in run.memo and not run.findings.errors_only:
        run.memo[_TOLD] = True
        run.findings.limit("the profiles ask for too much work: not all that they say was checked")
