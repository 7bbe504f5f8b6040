"""What is asked of remote servers, within which limits, and what comes of it."""

from dataclasses import dataclass


class ToolFailed(Exception):
    """A server did not do what it was asked.  code: one of those in docs/guides/tools.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave, as text.  failed: the tool itself says that it did not work."""

    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """
    servers_max: in one request.  tools_max: of one server; more are not offered.
    rounds_max, calls_max, tokens_max, run_s: of one run: how often the model is asked, what it may
      call, tokens of all rounds together, and for how long.
    call_s: of one message to a server.  parallel: calls under way at once, of one run.
    result_bytes_max: of what a server answers.
    runs_max: at once; runs_per_project_max: of one project.
    """

    servers_max: int
    tools_max: int
    rounds_max: int
    calls_max: int
    tokens_max: int
    run_s: float
    call_s: float
    parallel: int
    result_bytes_max: int
    runs_max: int
    runs_per_project_max: int
