"""Deployments: the ways to serve a model."""

from dataclasses import dataclass, field
from typing import Literal

from portico.canon.data_use import DataUse
from portico.engines.base import Engine

EngineKind = Literal["openai_compatible", "anthropic", "gemini", "openai-responses"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One way to serve `model`, with its engine at work.

    id: names the deployment in usage records and logs, such as "embedded/portico-demo"; for an
      upstream it says where that is.
    owned_by: what GET /v1/models shows.
    data_use: what whoever runs it does with prompts.
    alias: what callers and metrics are told, where the id says too much; "" for the id itself.
    """

    id: str
    model: str
    engine: Engine
    owned_by: str
    created_at_s: int
    data_use: DataUse = "own"
    alias: str = ""
    told: str = field(init=False, compare=False)
    """The alias, or the id; said with every answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "told", self.alias or self.id)


@dataclass(frozen=True, slots=True)
class Registration:
    """A deployment as the operator wrote it down.

    engine: what the server speaks.  location: its base URL.
    credential_env: name of the environment variable that holds the upstream's key, never the key.
    sealed_key: the key itself, as only this server reads it; see `routing.keys`.
    position: deployments of a model are tried from the lowest up.
    data_use: what whoever runs the server does with prompts.
    """

    id: str
    model: str
    engine: EngineKind
    location: str
    upstream_model: str
    credential_env: str | None
    created_at_ms: int
    position: int
    data_use: DataUse
    sealed_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RegistrationWish:
    """A deployment to register.  upstream_model: "" for the model's own name."""

    model: str
    location: str
    engine: EngineKind = "openai_compatible"
    upstream_model: str = ""
    credential_env: str | None = None
    data_use: DataUse = "no_training"


@dataclass(frozen=True, slots=True)
class Drill:
    """The first deployment of a model, cut off on purpose for a while.

    server: who is to do it.  asked_at_ms, began_at_ms: wall clock.
    deployment: which one it was, as callers are told it; problem: why nothing was cut.  Both are
      None until the server has seen it.
    """

    id: str
    server: str
    model: str
    seconds: int
    asked_at_ms: int
    began_at_ms: int | None = None
    deployment: str | None = None
    problem: str | None = None
