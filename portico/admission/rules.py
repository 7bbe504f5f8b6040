"""How long a refused or waiting request should stay away.  Pure."""


def drain_estimate_ms(waiting: int, places: int, mean_run_ms: float) -> int:
    """When a newcomer behind `waiting` others would get one of `places`, each held for
    `mean_run_ms`; between 1 s (nobody gains from polling faster) and 60 s."""
    rounds = (waiting + places) / max(places, 1)
    return min(60_000, max(1_000, round(rounds * mean_run_ms)))
