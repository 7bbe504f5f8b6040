"""Who is asked for one request, in which order, how often; and what became of it is remembered.

The journey asks for the next deployment and runs each try inside `with tries:`, so that however it
ends, it is noted: the one request that finds out whether a deployment is back is never forgotten.
"""

import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Protocol

from portico import errors
from portico.canon.usage import Usage
from portico.engines.base import UpstreamFailed
from portico.kit.clock import Clock
from portico.routing.health import Breaker, RetryBudget, State, is_outlier
from portico.routing.model import Deployment

log = logging.getLogger(__name__)
TRIES_MAX = 3
"""Deployments asked for one request."""
_SILENCE_S = 10.0
Result = Literal["answered", "refused", "failed", "broke_off", "timed_out", "cut"]
"""answered.  refused: the request was wrong.  failed: before the first delta; broke_off: after it.
timed_out.  cut: the caller left, or its money ran out."""
_WORKED: tuple[bool, Result] = (True, "answered")


class Observer(Protocol):
    """Who watches the counters.  Must not wait."""

    def tried(self, model: str, deployment: str, result: Result) -> None: ...


class ModelHealth:
    """How the deployments of one model do.  One event loop owns this object."""

    __slots__ = (
        "_breakers",
        "_silent_until_s",
        "budget",
        "clock",
        "deployments",
        "model",
        "observer",
    )

    def __init__(self, model: str, clock: Clock, observer: Observer) -> None:
        self.model = model
        self.clock = clock
        self.observer = observer
        self.budget = RetryBudget(clock.monotonic_s())
        self.deployments: tuple[Deployment, ...] = ()
        """All there are, in the operator's order."""
        self._breakers: dict[str, Breaker] = {}
        self._silent_until_s = 0.0

    def breaker(self, deployment: Deployment) -> Breaker:
        found = self._breakers.get(deployment.id)
        if found is None:
            found = self._breakers[deployment.id] = Breaker()
        return found

    def state(self, deployment: Deployment) -> State:
        """As the next request would find it: rested is half open, and an engine that knows itself
        that it is away is not asked, however few failures its breaker has seen."""
        if not deployment.engine.ready:
            return "open"
        breaker = self.breaker(deployment)
        return "half_open" if breaker.due(self.clock.monotonic_s()) else breaker.state

    def there(self, deployment: Deployment) -> bool:
        """Would it be sent requests now?"""
        found = self._breakers.get(deployment.id)
        return deployment.engine.ready and (found is None or found.state == "closed")

    def places(self, deployments: Sequence[Deployment]) -> int:
        """Requests that may run at `deployments` at once: as many as those run that are there now,
        and one for each that has to be found out about.  Where none is there, as many as all run:
        nobody knows better than whoever asks."""
        if len(deployments) == 1:
            return deployments[0].engine.abilities.concurrency_max
        places = [each.engine.abilities.concurrency_max for each in deployments]
        there = [self.there(each) for each in deployments]
        if all(there) or not any(there):
            return sum(places)
        return sum(
            places[at] if there[at] else self._finds_out(each)
            for at, each in enumerate(deployments)
        )

    def _finds_out(self, deployment: Deployment) -> bool:
        """Is one request asking it, or about to?"""
        found = self._breakers.get(deployment.id)
        if found is None or not deployment.engine.ready:
            return False
        return found.state == "half_open" or self.may_probe(found)

    def may_probe(self, breaker: Breaker) -> bool:
        """Only while a failure could be made good elsewhere: finding out is our affair."""
        now_s = self.clock.monotonic_s()
        return breaker.due(now_s) and self.budget.affords(now_s)

    def keep(self, deployments: tuple[Deployment, ...]) -> None:
        """These are all there are; forget all others."""
        self.deployments = deployments
        ids = {deployment.id for deployment in deployments}
        self._breakers = {id: breaker for id, breaker in self._breakers.items() if id in ids}

    def may_try_again(self) -> bool:
        """Takes one second try from the budget."""
        now_s = self.clock.monotonic_s()
        if self.budget.spend(now_s):
            return True
        if now_s >= self._silent_until_s:  # in a storm this would be a line per request
            self._silent_until_s = now_s + _SILENCE_S
            log.warning("%s: requests fail without a second try, too many do", self.model)
        return False

    def failed(self, deployment: Deployment, breaker: Breaker, epoch: int) -> None:
        now_s = self.clock.monotonic_s()
        before, why = breaker.state, "it failed several times in a row"
        breaker.failed(epoch, now_s)
        others = (each for each in self._breakers.values() if each is not breaker)
        if breaker.state == "closed" and is_outlier(breaker, others, now_s):
            breaker.open(now_s)
            why = "it fails more often than the other deployments"
        if before == "closed" and breaker.state == "open":  # once per outage, however long
            log.warning("%s is left alone for %s: %s", deployment.id, self.model, why)


class Tries:
    """The tries of one request: `for deployment in tries`, each in `with tries`.

    After a failure `again` says whether another deployment may be asked.
    """

    __slots__ = (
        "_breaker",
        "_deployments",
        "_epoch",
        "_health",
        "_last_resort",
        "_next",
        "_now",
        "_tried",
        "_usage",
    )

    def __init__(
        self, deployments: Sequence[Deployment], health: ModelHealth, usage: Usage
    ) -> None:
        """deployments: those that are able, in the operator's order.  usage: of the request; says
        whether its answer has begun."""
        self._deployments = deployments
        self._health = health
        self._usage = usage
        self._tried: tuple[Deployment, ...] = ()
        self._breaker: Breaker
        self._epoch: int
        self._last_resort: bool
        """That it fails is no news; that it answers is."""
        health.budget.earn()
        self._next: Deployment | None = self._pick()

    def __iter__(self) -> "Tries":
        return self

    def __next__(self) -> Deployment:
        deployment, self._next = self._next, None
        if deployment is None:
            raise StopIteration
        self._now = deployment
        self._tried += (deployment,)
        return deployment

    def again(self) -> bool:
        """May another one be asked?  Takes it from the model's retry budget."""
        health, tried = self._health, len(self._tried)
        if tried >= TRIES_MAX or tried == len(self._deployments):
            return False
        if not health.may_try_again():
            return False
        self._next = self._pick()
        return True

    def began(self) -> str:
        """The first delta is here: the deployment works, however long the rest takes.  Gives its
        name, as callers are told it."""
        breaker = self._breaker
        if breaker.state != "closed":
            before, self._epoch = self._epoch, breaker.answered(self._epoch)
            if self._epoch != before:
                log.info("%s is asked for %s again", self._now.id, self._health.model)
        return self._now.told

    def __enter__(self) -> None:
        self._breaker.running += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        health, now, breaker = self._health, self._now, self._breaker
        breaker.running -= 1
        works, result = _WORKED if error is None else self._verdict(error)
        if works:
            if breaker.state != "closed":
                self.began()
            breaker.succeeded(self._epoch, health.clock.monotonic_s())
        elif not self._last_resort:
            if isinstance(error, UpstreamFailed):
                health.failed(now, breaker, self._epoch)
            else:
                breaker.unknown(self._epoch, health.clock.monotonic_s())
        health.observer.tried(health.model, now.told, result)

    def _verdict(self, error: BaseException) -> tuple[bool, Result]:
        """Does the deployment work all the same, and what is the try called?"""
        if isinstance(error, UpstreamFailed):
            return False, self._failure(error)
        if isinstance(error, errors.Refusal):
            return True, "refused"
        return self._usage.started, "cut"

    def _failure(self, failed: UpstreamFailed) -> Result:
        if failed.refusal.entry is errors.UPSTREAM_TIMEOUT:
            return "timed_out"
        return "broke_off" if self._usage.started else "failed"

    def _pick(self) -> Deployment:
        """The first one in order that works and has room, or that it is time to find out about.  If
        there is none: one that is full; then one that is just restarting.  Last of all one that
        should be left alone: a request is only refused when nobody could serve it.  There must be
        one that was not tried."""
        health = self._health
        chosen: Deployment | None = None
        full: Deployment | None = None
        asleep: Deployment | None = None
        worst: Deployment | None = None
        for deployment in self._deployments:
            if self._tried and deployment in self._tried:
                continue
            breaker, ready = health.breaker(deployment), deployment.engine.ready
            if breaker.state == "closed":
                if not ready:
                    asleep = asleep or deployment
                elif breaker.running < deployment.engine.abilities.concurrency_max:
                    chosen = deployment
                    break
                else:
                    full = full or deployment
            elif ready and health.may_probe(breaker):
                breaker.probe()
                chosen = deployment
                break
            elif worst is None or breaker.rests_until_s < health.breaker(worst).rests_until_s:
                worst = deployment
        else:
            chosen = full or asleep or worst
            assert chosen is not None
            breaker = health.breaker(chosen)
        self._breaker = breaker
        self._epoch = breaker.epoch
        self._last_resort = chosen is worst
        return chosen
