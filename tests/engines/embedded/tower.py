"""A media tower of random weights: proves that pictures and sound arrive, are counted and are paid
for, not that anything is understood.  Made when a test wants it; never shipped.

A GGUF of the `clip` kind: a small vision transformer (112 pixels, patches of 16: 49 tokens a
picture) and a small audio encoder of Whisper's shape, both ending in the model's own width.
"""

import struct
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

_U32, _F32, _BOOL, _STRING, _ARRAY = 4, 6, 7, 8, 9
_ALIGNMENT = 32
_WIDTH, _HEADS, _LAYERS, _INNER = 64, 4, 2, 128
IMAGE_PIXELS, _PATCH_PIXELS = 112, 16
IMAGE_TOKENS = (IMAGE_PIXELS // _PATCH_PIXELS) ** 2
_MEL_BINS, _FRAMES, _STACKED = 80, 1_500, 10


@dataclass
class GgufFile:
    """What goes into a file, in the order of the format."""

    rng: Random
    facts: list[bytes] = field(default_factory=list)
    tensors: list[tuple[str, tuple[int, ...], int, bytes]] = field(default_factory=list)

    def fact(self, key: str, kind: int, value: bytes) -> None:
        self.facts.append(_string(key) + struct.pack("<I", kind) + value)

    def number(self, key: str, value: int) -> None:
        self.fact(key, _U32, struct.pack("<I", value))

    def real(self, key: str, value: float) -> None:
        self.fact(key, _F32, struct.pack("<f", value))

    def text(self, key: str, value: str) -> None:
        self.fact(key, _STRING, _string(value))

    def yes(self, key: str) -> None:
        self.fact(key, _BOOL, b"\x01")

    def reals(self, key: str, values: list[float]) -> None:
        head = struct.pack("<IQ", _F32, len(values))
        self.fact(key, _ARRAY, head + struct.pack(f"<{len(values)}f", *values))

    def random(self, name: str, *shape: int, half: bool = False) -> None:
        """Small numbers around zero; `half`: in 16 bits, as convolutions want theirs."""
        count = 1
        for side in shape:
            count *= side
        numbers = [self.rng.uniform(-0.1, 0.1) for _ in range(count)]
        data = struct.pack(f"<{count}e", *numbers) if half else array("f", numbers).tobytes()
        self.tensors.append((name, shape, 1 if half else 0, data))

    def ones(self, name: str, width: int) -> None:
        self.tensors.append((name, (width,), 0, array("f", [1.0] * width).tobytes()))

    def zeros(self, name: str, *shape: int) -> None:
        self.tensors.append((name, shape, 0, array("f", [0.0] * shape[-1]).tobytes()))

    def write(self, path: Path) -> None:
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.facts))
        infos, bodies, offset = [], [], 0
        for name, shape, kind, data in self.tensors:
            sides = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
            infos.append(_string(name) + sides + struct.pack("<IQ", kind, offset))
            bodies.append(data + bytes(-len(data) % _ALIGNMENT))
            offset += len(bodies[-1])
        before = b"".join((head, *self.facts, *infos))
        path.write_bytes(before + bytes(-len(before) % _ALIGNMENT) + b"".join(bodies))


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def write_tower(path: Path, model_width: int) -> None:
    """model_width: of the model it is for (`llama.embedding_length`)."""
    file = GgufFile(Random(7))
    file.text("general.architecture", "clip")
    _facts(file, "vision", model_width)
    _facts(file, "audio", model_width)
    file.text("clip.vision.projector_type", "mlp")
    file.number("clip.vision.image_size", IMAGE_PIXELS)
    file.number("clip.vision.patch_size", _PATCH_PIXELS)
    file.reals("clip.vision.image_mean", [0.5, 0.5, 0.5])
    file.reals("clip.vision.image_std", [0.5, 0.5, 0.5])
    file.text("clip.audio.projector_type", "ultravox")
    file.number("clip.audio.num_mel_bins", _MEL_BINS)
    file.number("clip.audio.projector.stack_factor", _STACKED)
    _vision(file, model_width)
    _audio(file, model_width)
    file.write(path)


def _facts(file: GgufFile, kind: str, model_width: int) -> None:
    file.yes(f"clip.has_{kind}_encoder")
    file.number(f"clip.{kind}.embedding_length", _WIDTH)
    file.number(f"clip.{kind}.feed_forward_length", _INNER)
    file.number(f"clip.{kind}.projection_dim", model_width)
    file.number(f"clip.{kind}.block_count", _LAYERS)
    file.number(f"clip.{kind}.attention.head_count", _HEADS)
    file.real(f"clip.{kind}.attention.layer_norm_epsilon", 1e-5)


def _blocks(file: GgufFile, prefix: str) -> None:
    for layer in range(_LAYERS):
        at = f"{prefix}.blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            file.random(f"{at}.{name}.weight", _WIDTH, _WIDTH)
            if name != "attn_k" or prefix == "v":  # Whisper's keys have none
                file.zeros(f"{at}.{name}.bias", _WIDTH)
        for name in ("ln1", "ln2"):
            file.ones(f"{at}.{name}.weight", _WIDTH)
            file.zeros(f"{at}.{name}.bias", _WIDTH)
        file.random(f"{at}.ffn_up.weight", _WIDTH, _INNER)
        file.zeros(f"{at}.ffn_up.bias", _INNER)
        file.random(f"{at}.ffn_down.weight", _INNER, _WIDTH)
        file.zeros(f"{at}.ffn_down.bias", _WIDTH)


def _vision(file: GgufFile, model_width: int) -> None:
    file.random("v.patch_embd.weight", _PATCH_PIXELS, _PATCH_PIXELS, 3, _WIDTH, half=True)
    file.random("v.position_embd.weight", _WIDTH, IMAGE_TOKENS)
    _blocks(file, "v")
    file.random("mm.0.weight", _WIDTH, model_width)
    file.zeros("mm.0.bias", model_width)
    file.random("mm.2.weight", model_width, model_width)
    file.zeros("mm.2.bias", model_width)


def _audio(file: GgufFile, model_width: int) -> None:
    file.random("a.conv1d.1.weight", 3, _MEL_BINS, _WIDTH, half=True)
    file.zeros("a.conv1d.1.bias", 1, _WIDTH)
    file.random("a.conv1d.2.weight", 3, _WIDTH, _WIDTH, half=True)
    file.zeros("a.conv1d.2.bias", 1, _WIDTH)
    file.random("a.position_embd.weight", _WIDTH, _FRAMES)
    _blocks(file, "a")
    file.ones("a.post_ln.weight", _WIDTH)
    file.zeros("a.post_ln.bias", _WIDTH)
    file.ones("mm.a.norm_pre.weight", _WIDTH * _STACKED)
    file.random("mm.a.mlp.1.weight", _WIDTH * _STACKED, 2 * _INNER)
    file.ones("mm.a.norm_mid.weight", _INNER)
    file.random("mm.a.mlp.2.weight", _INNER, model_width)
