"""Tools of remote servers, which are called for a model."""

from typing import Annotated

from msgspec import Meta, Struct


class Tools(Struct, frozen=True, forbid_unknown_fields=True):
    """Remote MCP servers that requests name."""

    enabled: Annotated[
        bool, Meta(description="Call them, for keys that have the scope `tools:remote`.")
    ] = False
    private_allowed: Annotated[
        bool,
        Meta(
            description="Servers may stand on this machine and in private networks, on any port and "
            "without TLS.  Only where whoever has a key may reach those anyway."
        ),
    ] = False
    never: Annotated[
        tuple[str, ...],
        Meta(description="Networks that are never connected to, besides private ones."),
    ] = ()
    servers_max: Annotated[int, Meta(ge=1, le=100, description="In one request.")] = 8
    tools_max: Annotated[
        int, Meta(ge=1, le=1_000, description="Of one server; more are not offered to a model.")
    ] = 64
    rounds_max: Annotated[
        int, Meta(ge=1, le=1_000, description="How often the model is asked for one answer.")
    ] = 16
    calls_max: Annotated[int, Meta(ge=1, le=10_000, description="Calls for one answer.")] = 64
    tokens_max: Annotated[
        int, Meta(ge=1, description="Of all rounds of one answer; none is begun beyond it.")
    ] = 1_000_000
    run_s: Annotated[
        float, Meta(gt=0, description="No round or call is begun beyond it; calls end with it.")
    ] = 600.0
    call_s: Annotated[float, Meta(gt=0, description="Of one message to a server.")] = 60.0
    parallel: Annotated[
        int, Meta(ge=1, le=64, description="Calls under way at once, for one answer.")
    ] = 4
    result_bytes_max: Annotated[
        int, Meta(ge=1_024, description="Of one answer of a server; a larger one is an error.")
    ] = 1_048_576
    runs_max: Annotated[int, Meta(ge=1, description="Answers with tools made at once.")] = 256
    runs_per_project_max: Annotated[int, Meta(ge=1, description="Of them, of one project.")] = 32
