"""A scope that ends early when somebody leaves.

The journey wraps in it whatever only makes sense while the client is there.  `leave()` interrupts
the task at its next await *inside* the scope and does nothing outside it, so nothing after the
scope (settlement) can be cancelled by a hang-up.  anyio's scopes say the same and cost 5 to 8 us
each on every request, a tenth of the whole relay; this one costs under 1 us
(docs/design/0001-leaving-scope.md).
"""

import asyncio
from types import TracebackType

DRAINED = "drained"
"""The reason when it is us who leave: this server stops."""
REVOKED = "revoked"
"""The reason when their key has ended while they were served."""


PREEMPTED = "preempted"
"""The reason when what can wait makes room for what cannot."""


class Left(Exception):
    """They had left before the scope was entered."""


class Leaving:
    __slots__ = ("_interrupted", "_loop", "_task", "left", "reason")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """loop: the running one, where it is at hand; asking for it costs a system call."""
        self._loop = loop
        self.left = False
        self.reason = ""
        self._task: asyncio.Task[object] | None = None
        self._interrupted = False

    def leave(self, reason: str) -> None:
        """The first reason stays.  Interrupts the scope if it is open."""
        if self.left:
            return
        self.left = True
        self.reason = reason
        if self._task is not None:
            self._interrupted = True
            self._task.cancel()

    def __enter__(self) -> "Leaving":
        if self.left:
            raise Left(self.reason)
        self._task = asyncio.current_task(self._loop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        task, self._task = self._task, None
        if not self._interrupted or task is None:
            return False
        # Our own cancel is taken back; if somebody else cancelled as well, theirs goes on.
        return task.uncancel() == 0 and kind is asyncio.CancelledError
