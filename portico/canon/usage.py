"""What was used, in disjoint meters, and how sure we are."""

import msgspec


class Meters(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens per meter.  Disjoint: a token is counted in exactly one field, so their sum is the
    total, whatever the dialect that reported them counts twice."""

    input_text: int = 0
    input_cache_read: int = 0
    input_cache_write_5m: int = 0
    input_cache_write_1h: int = 0
    input_image: int = 0
    input_audio: int = 0
    output_text: int = 0
    output_reasoning: int = 0
    output_audio: int = 0

    @property
    def input_tokens(self) -> int:
        return (
            self.input_text
            + self.input_cache_read
            + self.input_cache_write_5m
            + self.input_cache_write_1h
            + self.input_image
            + self.input_audio
        )

    @property
    def output_tokens(self) -> int:
        return self.output_text + self.output_reasoning + self.output_audio

    def plus(self, other: "Meters") -> "Meters":
        """Both together, meter by meter."""
        both = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Meters(*(one + two for one, two in both))


NOTHING = Meters()


class Usage(msgspec.Struct):
    """The running count of one answer: the engine's own figures where it gives any, else ours.

    `told` is the engine's latest total and always wins; tokens counted after it are added.
    input_bound: tokens of prompt assumed if the engine never says (bytes / 4).
    """

    input_bound: int = 0
    told: Meters | None = None
    counted_output: int = 0
    started: bool = False
    completed: bool = False
    finish: str = ""

    @property
    def estimated(self) -> bool:
        return self.started and (self.told is None or self.counted_output > 0)

    def meters(self) -> Meters:
        """Never generated anything: nothing.  Told: the engine's figures plus what came since."""
        if self.told is None:
            if not self.started:
                return NOTHING
            return Meters(input_text=self.input_bound, output_text=self.counted_output)
        if not self.counted_output:
            return self.told
        output_text = self.told.output_text + self.counted_output
        return msgspec.structs.replace(self.told, output_text=output_text)
