"""Deployments: the ways to serve a model."""

from dataclasses import dataclass
from typing import Literal

from portico.engines.base import Engine

EngineKind = Literal["openai_compatible"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One way to serve `model`, with its engine at work.

    id: names the deployment in usage records and metrics, such as "embedded/portico-demo".
    owned_by: what GET /v1/models shows.
    """

    id: str
    model: str
    engine: Engine
    owned_by: str
    created_at_s: int


@dataclass(frozen=True, slots=True)
class Registration:
    """A deployment as the operator wrote it down.

    location: base URL of an OpenAI-compatible server.
    credential_env: name of the environment variable that holds the upstream's key, never the key.
    """

    id: str
    model: str
    engine: EngineKind
    location: str
    upstream_model: str
    credential_env: str | None
    created_at_ms: int
