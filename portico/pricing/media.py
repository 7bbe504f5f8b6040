"""How many tokens images, sound and files may come to, before anything has looked at them.  Pure.

Engines differ, and none says beforehand.  So these are rules that no encoder we know exceeds; they
decide what is set aside, never what is charged.
"""

from collections.abc import Iterator
from math import ceil

from portico.canon.conversation import (
    AudioPart,
    Conversation,
    FilePart,
    ImagePart,
    Message,
    Part,
    ToolResult,
)
from portico.canon.prompt import Feature, Prompt
from portico.dialects.pixels import base64_reader, image_size, sound_seconds
from portico.errors import Refusal

PATCH_PIXELS = 14
"""No encoder makes more than one token of a square of so many pixels."""
IMAGE_TOKENS_MIN = 4_096
"""However small an image is: encoders of a fixed size stretch it to theirs, and cut it into tiles;
64 x 64 patches of 14 pixels are 896 x 896."""
WINDOW_S = 30
WINDOW_TOKENS = 1_500
"""Sound is taken in windows of 30 s, the last one filled up, of 50 tokens a second."""
MP3_BYTES_PER_S_MIN = 1_000
"""The lowest rate an MP3 can have is 8,000 bits a second."""


def media_bounds(prompt: Prompt) -> dict[Feature, int]:
    """By what a model must take in.  Of what is passed on without being read here, and of files that
    nobody looked into: one token for each character of base64."""
    bounds = {**prompt.media_characters, **_by_part(prompt)}
    if prompt.file_tokens_max is not None:
        bounds["file"] = prompt.file_tokens_max
    return bounds


def _by_part(prompt: Prompt) -> dict[Feature, int]:
    bounds: dict[Feature, int] = {}
    try:
        conversation = prompt.conversation()
    except Refusal:  # it may be passed through all the same
        return bounds
    for part in _parts(conversation):
        match part:
            case ImagePart(url=url):
                kind: Feature = "image"
                bound = image_bound(url)
            case AudioPart(data=data, format=form):
                kind, bound = "audio", sound_bound(data, form)
            case FilePart(data=data):
                kind, bound = "file", len(data)
            case _:
                continue
        bounds[kind] = bounds.get(kind, 0) + bound
    return bounds


def image_bound(url: str) -> int:
    """Of one image in a `data:` URL."""
    start = url.find(",") + 1
    size = image_size(base64_reader(url, start))
    patches = len(url) - start  # a header that cannot be read: what there was before
    if size is not None:
        patches = ceil(size[0] / PATCH_PIXELS) * ceil(size[1] / PATCH_PIXELS)
    return IMAGE_TOKENS_MIN + patches


def sound_bound(data: str, form: str) -> int:
    """Of one sound in base64.  form: "wav" or "mp3"."""
    size_bytes = len(data) * 3 // 4
    seconds = sound_seconds(base64_reader(data), size_bytes) if form == "wav" else None
    if seconds is None:
        seconds = size_bytes / MP3_BYTES_PER_S_MIN
    return ceil(seconds / WINDOW_S + 1) * WINDOW_TOKENS


def _parts(conversation: Conversation) -> Iterator[Part]:
    for item in conversation.items:
        if isinstance(item, Message | ToolResult):
            yield from item.parts
