"""What is known of one model at one server.  Made by `probe`, kept for as long as it is served."""

from dataclasses import dataclass

from portico.engines.base import Abilities
from portico.engines.openai_compatible.server import Adapter, Kind


@dataclass(frozen=True, slots=True)
class Profile:
    """model: the name the server knows it by.
    clean: its streams were seen to follow the dialect, so that bytes may pass through; the others
      are parsed and written anew.
    running_usage: it can tell the tokens made so far in every chunk (vLLM, SGLang).
    share_prefix_cache: may one caller's prompt speed up another's?  (llama.cpp only; vLLM and SGLang
      are told by a salt whose prompts may.)
    adapter: the LoRA adapter to answer with; None for the way the server was started.  (llama.cpp
      only; the others know adapters by their names.)
    efforts: the reasoning efforts it takes; None where that is not known, and all are passed on.
    remark: what the operator should know about its streams, "" when nothing.
    problem: why it cannot be served now, in a sentence, "" when it can.
    """

    kind: Kind
    model: str
    abilities: Abilities
    clean: bool
    running_usage: bool = False
    share_prefix_cache: bool = False
    adapter: Adapter | None = None
    efforts: frozenset[str] | None = None
    remark: str = ""
    problem: str = ""
