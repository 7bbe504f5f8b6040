"""Deployments: the ways to serve a model."""

from dataclasses import dataclass

from portico.engines.base import Engine


@dataclass(frozen=True, slots=True)
class Deployment:
    """One way to serve `model`.

    id: names the deployment in usage records and metrics, such as "embedded/portico-demo".
    owned_by: what GET /v1/models shows.
    """

    id: str
    model: str
    engine: Engine
    owned_by: str
    created_at_s: int
