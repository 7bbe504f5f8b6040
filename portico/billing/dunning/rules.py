"""Which step comes next, and what state follows from those taken.  Pure; the clock comes in."""

from collections.abc import Iterable, Mapping

from portico.billing.dunning.model import STATES, Policy, State, Step

_DAY_MS = 86_400_000
_READ_ONLY = ("receivable",)
_SUSPENDED = ("prepaid", "promo", "receivable")


def next_step(due_at_ms: int, taken: Mapping[str, int], policy: Policy, now_ms: int) -> Step | None:
    """The step of an unpaid invoice whose time has come; None for none yet, or none left.

    taken: when each kind of step was taken.  A step keeps its distance from the one before it, so
    a run that comes late delays everything and bunches nothing: nobody is suspended without having
    had the days in between.
    """
    steps = policy.steps
    done = [place for place, step in enumerate(steps) if step.kind in taken]
    place = done[-1] + 1 if done else 0
    if place == len(steps):
        return None
    step = steps[place]
    at_ms = due_at_ms + step.day * _DAY_MS
    if place:
        before = steps[place - 1]
        at_ms = max(at_ms, taken[before.kind] + (step.day - before.day) * _DAY_MS)
    return step if now_ms >= at_ms else None


def state_of(kinds: Iterable[str]) -> State:
    """The worst state among the steps taken for invoices that are still unpaid."""
    taken = set(kinds)
    return next((state for state in reversed(STATES) if state in taken), "good")


def closes(state: State, account_kind: str) -> bool:
    """Whether nothing may be held in such an account of an organisation in this state."""
    if state == "suspended":
        return account_kind in _SUSPENDED
    return state == "read_only" and account_kind in _READ_ONLY
