"""The simulated models: what each says, and the parameters it starts from."""

from dataclasses import dataclass

from portico.engines.simulated import speech
from portico.engines.simulated.parameters import Parameters

FILLER_TOKENS = 64


AS_ASKED = Parameters()


@dataclass(frozen=True, slots=True)
class Model:
    voice: speech.Voice
    defaults: Parameters = AS_ASKED


MODELS: dict[str, Model] = {
    "sim-auto": Model(speech.auto),
    "sim-echo": Model(speech.echo),
    "sim-lorem": Model(speech.echo, Parameters(tokens=FILLER_TOKENS)),
    "sim-tool": Model(speech.tools),
    "sim-json": Model(speech.json),
    "sim-reasoning": Model(speech.reasoning),
    "sim-refusal": Model(speech.refusal),
    "sim-slow": Model(
        speech.echo, Parameters(tokens=FILLER_TOKENS, first_ms=1_000, tokens_per_s=20)
    ),
    "sim-stall": Model(speech.echo, Parameters(tokens=FILLER_TOKENS, fault="stall")),
    "sim-cut": Model(speech.echo, Parameters(tokens=FILLER_TOKENS, fault="cut")),
    "sim-error": Model(speech.echo, Parameters(tokens=FILLER_TOKENS, fault="error")),
    "sim-malformed": Model(speech.tools_or_json, Parameters(fault="unfinished_json")),
}
