"""How long to wait before the next try.  Pure."""


def exponential_s(failures: int, first_s: float, most_s: float) -> float:
    """Seconds to wait after `failures` failures in a row: first_s, then twice as long each time,
    never more than most_s.  No failure, no wait."""
    if failures <= 0:
        return 0.0
    # The exponent is bounded so that a very long row of failures cannot overflow.
    return min(most_s, first_s * 2.0 ** min(failures - 1, 60))
