"""What supervisor and worker tell one another: one JSON line each way."""

import msgspec


class ChildConfig(msgspec.Struct, frozen=True):
    """How to serve one model.  First and only line on the worker's stdin; when stdin closes
    after it, the worker ends.

    alias: the model name the engine answers to and puts in its answers.
    parallel: requests run at once.  context_tokens: split evenly between them.
    share_prefix_cache: let one request profit from the prompt of another.
    memory_limit_bytes: heap of the child (mapped weights not counted), None for no limit.
    projector_path: weights of the image and audio tower, None for a text model.
    """

    model_path: str
    alias: str
    api_key: str
    parent_pid: int
    parallel: int
    context_tokens: int
    threads: int
    share_prefix_cache: bool
    memory_limit_bytes: int | None
    projector_path: str | None


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded and answers at http://host:port; what it can do is asked there."""

    host: str
    port: int
    pid: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker ends without ever having served.

    reason: "no_wheel", "no_model" (no such file, or not readable), "bad_model" (not a GGUF this
    engine can load) or "engine" (anything else).
    """

    reason: str
    detail: str


Report = Ready | Failed
