"""Which deployments serve a model.  One frozen snapshot, swapped whole when models change."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from portico import errors
from portico.canon.data_use import DATA_USES, DataUse, allows
from portico.canon.prompt import Prompt
from portico.canon.usage import Usage
from portico.kit.clock import Clock, SystemClock
from portico.routing.health import State
from portico.routing.model import Deployment
from portico.routing.rules import check_abilities
from portico.routing.tries import ModelHealth, Observer, Result, Tries

_SYSTEM_CLOCK = SystemClock()


class Unwatched:
    """Nobody counts."""

    def tried(self, model: str, deployment: str, result: Result) -> None:
        return


UNWATCHED = Unwatched()


@dataclass(frozen=True, slots=True)
class Routes:
    """Where one prompt may go, in the operator's order."""

    model: str
    deployments: tuple[Deployment, ...]
    context_tokens: int | None
    """Of the roomiest of them, input and output together; None when one does not say."""
    health: ModelHealth = field(repr=False, compare=False)

    @property
    def places(self) -> int:
        """Requests that may run there at once: fewer while one of them is away."""
        return self.health.places(self.deployments)

    @property
    def places_in_all(self) -> int:
        """The same for all deployments of the model, also those this prompt may not go to."""
        return self.health.places(self.health.deployments)

    @property
    def there(self) -> list[Deployment]:
        """Those that would be sent requests now."""
        return [each for each in self.deployments if self.health.there(each)]

    def tries(self, usage: Usage) -> Tries:
        """Who is asked, one after the other.  usage: of the request."""
        return Tries(self.deployments, self.health, usage)


class Routing:
    def __init__(
        self,
        deployments: Iterable[Deployment] = (),
        clock: Clock = _SYSTEM_CLOCK,
        observer: Observer = UNWATCHED,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._by_model: dict[str, tuple[Deployment, ...]] = {}
        self._health: dict[str, ModelHealth] = {}
        self._whole: dict[DataUse, dict[str, Routes]] = {}
        self.replace(deployments)

    def replace(self, deployments: Iterable[Deployment]) -> None:
        """Serve exactly these from now on.  Requests under way keep the ones they started with."""
        by_model: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            by_model.setdefault(deployment.model, []).append(deployment)
        self._by_model = {model: tuple(found) for model, found in by_model.items()}
        self._health = {model: self._health_of(model) for model in by_model}
        for model, health in self._health.items():
            health.keep(self._by_model[model])
        self._whole = {most: dict(self._allowed(most)) for most in DATA_USES}

    def models(self) -> dict[str, tuple[Deployment, ...]]:
        """Every model and its deployments, in the operator's order."""
        return self._by_model

    def open_to(self, data_use: DataUse) -> dict[str, tuple[Deployment, ...]]:
        """The same, as far as prompts may go there of which at most `data_use` may be made."""
        return {model: routes.deployments for model, routes in self._whole[data_use].items()}

    def states(self) -> Iterator[tuple[str, str, State]]:
        """(model, deployment as it is told, state of its breaker), of all of them."""
        for model, deployments in self._by_model.items():
            for deployment in deployments:
                yield model, deployment.told, self._health[model].state(deployment)

    def choose(
        self, prompt: Prompt, data_use: DataUse, models: frozenset[str] | None = None
    ) -> Routes:
        """data_use: the most that may be made of the caller's prompts.
        models: those it may name; None: all there are.  Others do not exist for it.

        Raises: Refusal: model_not_found, data_use_not_allowed, unsupported_feature,
        context_length_exceeded.
        """
        whole = self._whole[data_use].get(prompt.model)
        if models is not None and prompt.model not in models:
            raise _unknown(prompt.model, models & self._by_model.keys())
        if whole is None:
            raise self._nowhere(prompt.model, data_use)
        deployments = check_abilities(prompt, whole.deployments)
        if deployments is whole.deployments:
            return whole
        return _routes(prompt.model, deployments, whole.health)

    def _health_of(self, model: str) -> ModelHealth:
        return self._health.get(model) or ModelHealth(model, self._clock, self._observer)

    def _allowed(self, most: DataUse) -> Iterator[tuple[str, Routes]]:
        for model, found in self._by_model.items():
            allowed = tuple(each for each in found if allows(most, each.data_use))
            if allowed:
                yield model, _routes(model, allowed, self._health[model])

    def _nowhere(self, model: str, data_use: DataUse) -> errors.Refusal:
        if model in self._by_model:
            return errors.DATA_USE(
                f"The model {model!r} is served only where prompts may be used in ways that this "
                f"project does not allow; it allows {data_use!r}.",
                field="model",
                value=model,
                limit=data_use,
            )
        return errors.MODEL_NOT_FOUND(
            f"The model {model!r} does not exist here.",
            field="model",
            value=model,
            limit=sorted(self._whole[data_use])[:20],  # of others the names say too much
        )


def _unknown(model: str, there: Iterable[str]) -> errors.Refusal:
    return errors.MODEL_NOT_FOUND(
        f"The model {model!r} does not exist here.",
        field="model",
        value=model,
        limit=sorted(there)[:20],
    )


def _routes(model: str, deployments: tuple[Deployment, ...], health: ModelHealth) -> Routes:
    abilities = [deployment.engine.abilities for deployment in deployments]
    contexts = [each.context_tokens for each in abilities]
    roomiest = None if None in contexts else max((c or 0 for c in contexts), default=None)
    return Routes(model, deployments, roomiest, health)
