"""Steps of dunning, in days after an invoice was due."""

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "read_only", "suspended"]

STATES: tuple[State, ...] = ("good", "read_only", "suspended")
"""From best to worst.  read_only: nothing more on account, own credit still pays.  suspended:
nothing that costs is admitted.  Reading, and every row, stays in both."""
RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Step:
    """kind: of its notice.  state: what the organisation is in from then on."""

    kind: str
    day: int
    state: State


@dataclass(frozen=True, slots=True)
class Policy:
    """notice_days: a notice and another try to collect on each; days from the one an invoice is due.

    Raises: ValueError.
    """

    notice_days: tuple[int, ...]
    read_only_day: int
    suspended_day: int

    def __post_init__(self) -> None:
        days = (*self.notice_days, self.read_only_day, self.suspended_day)
        if not self.notice_days or days[0] < 0 or list(days) != sorted(set(days)):
            raise ValueError(
                "Days of dunning must rise: notice_days (at least one, from 0 on), then "
                "read_only_day, then suspended_day."
            )

    @property
    def steps(self) -> tuple[Step, ...]:
        notices = [
            Step(f"notice_{place}", day, "good") for place, day in enumerate(self.notice_days, 1)
        ]
        return (
            *notices,
            Step("read_only", self.read_only_day, "read_only"),
            Step("suspended", self.suspended_day, "suspended"),
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """What an organisation is to be told.  recipient: a mail address, or "" where nobody gave one.

    sent_at_ms: None until a sender says so.
    """

    id: str
    organisation_id: str
    invoice_id: str
    kind: str
    recipient: str
    due_at_ms: int
    sent_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Closed:
    """An account that nothing can be held in.  was_nano: the floor it gets back.  is_nano: the one
    that closed it."""

    was_nano: int
    is_nano: int
