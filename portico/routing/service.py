"""Which deployments serve a model.  One frozen snapshot, swapped whole when models change."""

from collections.abc import Iterable
from dataclasses import dataclass

from portico import errors
from portico.canon.prompt import Prompt
from portico.routing.model import Deployment
from portico.routing.rules import check_abilities, in_order


@dataclass(frozen=True, slots=True)
class Routes:
    """Where one prompt may go, best first, and how many such requests may run at once."""

    model: str
    deployments: tuple[Deployment, ...]
    places: int
    context_tokens: int | None
    """Of the roomiest of them, input and output together; None when one does not say."""


class Routing:
    def __init__(self, deployments: Iterable[Deployment] = ()) -> None:
        self._by_model: dict[str, tuple[Deployment, ...]] = {}
        self._whole: dict[str, Routes] = {}
        self.replace(deployments)

    def replace(self, deployments: Iterable[Deployment]) -> None:
        """Serve exactly these from now on.  Requests under way keep the ones they started with."""
        by_model: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            by_model.setdefault(deployment.model, []).append(deployment)
        self._by_model = {model: tuple(found) for model, found in by_model.items()}
        self._whole = {model: _routes(model, found) for model, found in self._by_model.items()}

    def models(self) -> dict[str, tuple[Deployment, ...]]:
        """Every model and its deployments, in the order they were added."""
        return self._by_model

    def choose(self, prompt: Prompt) -> Routes:
        """Raises: Refusal: model_not_found, unsupported_feature, context_length_exceeded."""
        whole = self._whole.get(prompt.model)
        if whole is None:
            raise errors.MODEL_NOT_FOUND(
                f"The model {prompt.model!r} does not exist here.",
                field="model",
                value=prompt.model,
                limit=sorted(self._by_model)[:20],
            )
        deployments = in_order(check_abilities(prompt, whole.deployments))
        if deployments is whole.deployments:
            return whole
        return _routes(prompt.model, deployments)


def _routes(model: str, deployments: tuple[Deployment, ...]) -> Routes:
    abilities = [deployment.engine.abilities for deployment in deployments]
    contexts = [each.context_tokens for each in abilities]
    roomiest = None if None in contexts else max((c or 0 for c in contexts), default=None)
    return Routes(model, deployments, sum(a.concurrency_max for a in abilities), roomiest)
