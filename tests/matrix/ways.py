"""The ways an SDK is used: whole answers and streams, with and without `await`."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from typing import Any, Literal

from tests.matrix.asking import Answer, Broken, Question, Refused

Way = Literal["whole", "whole, async", "stream", "stream, async"]
WAYS: tuple[Way, ...] = ("whole", "whole, async", "stream", "stream, async")


class Client(ABC):
    """One SDK, used in one way.  What it is given and gives stays its own: `body` is the words of
    one request, `whole` a whole answer, `events` those of a stream."""

    def __init__(self, origin: str, key: str, way: Way) -> None:
        """origin: where Portico is, without `/v1`."""
        self.way = way
        self.awaits = way.endswith("async")
        self._loop = asyncio.Runner()
        self._open(origin, key)

    def ask(self, question: Question) -> Answer:
        """Raises: Refused; Broken: a stream that ended with a failure."""
        body = self._body(question)
        try:
            match self.way:
                case "whole":
                    return self._read(self._whole(body))
                case "whole, async":
                    return self._read(self._loop.run(_awaited(self._whole(body))))
                case "stream":
                    with self._stream(body) as events:
                        return self._joined(list(events))
                case "stream, async":
                    return self._joined(self._loop.run(self._heard(body)))
        except Exception as failure:
            meant = self._failed(failure)
            if meant is None:
                raise
            raise meant from failure

    def leave(self, question: Question, patience_s: float) -> None:
        """Ask and hang up: a stream after its first event, else when patience is at its end.  With
        `await`, the task is cancelled.  Fails when the answer comes first."""
        body = self._body(question)
        how = "an answer"
        try:
            match self.way:
                case "whole":
                    self._whole(self._hurried(body, patience_s))
                case "whole, async":
                    self._loop.run(asyncio.wait_for(self._whole(body), patience_s))
                case "stream":
                    with self._stream(body) as events:
                        next(iter(events))
                    return
                case "stream, async":
                    return self._loop.run(self._left(body))
        except Exception as failure:  # noqa: BLE001 - each SDK has a class of its own
            how = type(failure).__name__
        assert "Timeout" in how, f"{how} within {patience_s} s"

    def close(self) -> None:
        closed = self._close()
        if self.awaits:
            self._loop.run(closed)
        self._loop.close()

    async def _heard(self, body: Any) -> list[Any]:
        async with await _awaited(self._stream(body)) as events:
            return [event async for event in events]

    async def _left(self, body: Any) -> None:
        heard = asyncio.Event()

        async def listen() -> None:
            try:
                async with await _awaited(self._stream(body)) as events:
                    async for _ in events:
                        heard.set()
            finally:
                heard.set()

        listening = asyncio.create_task(listen())
        await heard.wait()
        listening.cancel()
        await asyncio.wait([listening])
        assert listening.cancelled(), "the answer came first"

    @abstractmethod
    def _open(self, origin: str, key: str) -> None:
        """With the SDK's asynchronous classes if `awaits`."""

    @abstractmethod
    def _close(self) -> Any:
        """To be awaited if `awaits`, as everything the SDK does."""

    @abstractmethod
    def _body(self, question: Question) -> Any: ...

    @abstractmethod
    def _hurried(self, body: Any, patience_s: float) -> Any:
        """`body`, to be given up after `patience_s`."""

    @abstractmethod
    def _whole(self, body: Any) -> Any: ...

    @abstractmethod
    def _stream(self, body: Any) -> Any:
        """Its events, in a context that hangs up at its end."""

    @abstractmethod
    def _read(self, whole: Any, pieces: int = 0) -> Answer: ...

    @abstractmethod
    def _joined(self, events: list[Any]) -> Answer:
        """What a reader of the stream has in the end, by the SDK's own means."""

    @abstractmethod
    def _failed(self, failure: Exception) -> Refused | Broken | None:
        """What it means; None when it is neither."""


async def _awaited(given: Any) -> Any:
    """Some streams are awaited before they are entered, some are not."""
    return await given if inspect.isawaitable(given) else given
