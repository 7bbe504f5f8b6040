"""A Moderations body becomes what is to be judged."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from portico import errors
from portico.canon.moderation import Item
from portico.dialects.body import checked, json_object, without_bom
from portico.dialects.losses import unknown

ALIASES = frozenset(
    {
        "omni-moderation-latest",
        "omni-moderation-2024-09-26",
        "text-moderation-latest",
        "text-moderation-stable",
    }
)
"""What OpenAI's SDKs name: here, whatever this server has."""
IMAGES_MAX = 8
"""In one request."""

SPECIMEN: dict[str, Any] = {"input": "-"}
"""The smallest valid request."""


class ImageUrl(Struct):
    url: str


class TextPart(Struct, tag_field="type", tag="text"):
    text: str


class ImagePart(Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class ModerationRequest(Struct):
    """`input`: one text, texts, or parts (`text`, `image_url`) that get one judgement together."""

    input: str | list[str | TextPart | ImagePart]
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """model: "" for whatever this server has.  unknown: members that say nothing here."""

    model: str
    items: tuple[Item, ...]
    unknown: tuple[str, ...] = ()

    @property
    def characters(self) -> int:
        return sum(len(item.text or "") for item in self.items)


def parse(body: bytes, inputs_max: int, characters_max: int) -> Asked:
    """Read and check a request body.

    Raises: Refusal with a 4xx status, naming field, value and limit; never anything else.
    """
    document = json_object(without_bom(body))
    request = checked(document, ModerationRequest)
    asked = Asked(
        "" if request.model is None or request.model in ALIASES else request.model,
        tuple(_items(request.input, inputs_max)),
        tuple(unknown(document, ModerationRequest)),
    )
    if asked.characters > characters_max:
        raise errors.OUT_OF_RANGE(
            f"'input' has {asked.characters} characters in all; it must have at most "
            f"{characters_max}.",
            field="input",
            value=asked.characters,
            limit=characters_max,
            remedy="Send the texts in several requests.",
        )
    return asked


def _items(given: str | list[str | TextPart | ImagePart], inputs_max: int) -> Iterator[Item]:
    if isinstance(given, str):
        yield Item("input", given)
        return
    if not given:
        raise errors.INVALID_VALUE(
            "'input' is empty; there is nothing to judge: it must hold a text or a part.",
            field="input",
            value=0,
            limit="at least one item",
        )
    if len(given) > inputs_max:
        raise errors.OUT_OF_RANGE(
            f"'input' has {len(given)} items; it must have at most {inputs_max}.",
            field="input",
            value=len(given),
            limit=inputs_max,
            remedy="Send them in several requests.",
        )
    if not isinstance(given[0], str):
        yield _of_parts(given)
        return
    for at, text in enumerate(given):
        if not isinstance(text, str):
            raise _mixed(at, "a string, as the first one is")
        yield Item(f"input[{at}]", text)


def _of_parts(parts: list[str | TextPart | ImagePart]) -> Item:
    texts: list[str] = []
    images: list[str] = []
    for at, part in enumerate(parts):
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, ImagePart):
            images.append(part.image_url.url)
        else:
            raise _mixed(at, "a part, as the first one is")
    if len(images) > IMAGES_MAX:
        raise errors.OUT_OF_RANGE(
            f"'input' has {len(images)} images; it must have at most {IMAGES_MAX}.",
            field="input",
            value=len(images),
            limit=IMAGES_MAX,
        )
    return Item("input", "\n".join(texts) if texts else None, tuple(images))


def _mixed(at: int, wanted: str) -> errors.Refusal:
    return errors.INVALID_TYPE(
        f"'input[{at}]' must be {wanted}.", field=f"input[{at}]", limit=wanted
    )
