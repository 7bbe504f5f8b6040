"""What was asked, whoever's dialect asked it."""

from collections.abc import Callable
from typing import Literal

import msgspec

from portico.canon.conversation import Conversation
from portico.canon.embedding import ToEmbed

Feature = Literal[
    "tools", "json_schema", "image", "audio", "file", "logprobs", "choices", "embeddings"
]
"""Something not every model or engine can do."""

Compatibility = Literal["strict", "warn", "adapt"]
"""What becomes of what a target cannot do: see `dialects.losses`."""


class Prompt(msgspec.Struct):
    """One request to generate, checked.  (A msgspec struct: made once per request, three times as
    fast.)

    dialect: the wire protocol it came in, such as "openai_chat".
    model: the name the developer used.
    body: the request body as it arrived (decoded), kept for pass-through.
    fields: its top-level members in order, each still raw JSON; unknown ones included.
    wants_usage: a stream must end with the usage chunk.
    choices: how many answers (n).
    output_tokens_max: the caller's cap per choice, None when not said; 0 where nothing is made
      that counts as output (vectors).
    input_tokens_guess: bytes / 4, for scheduling and for estimates; never a bound.
    needs: what the model and engine must be able to do.
    conversation: reads the canon form when an engine needs it (pass-through never does).
    service_tier: what it is to be priced as: standard, flex, priority or batch.
    hints: request headers an engine may obey (the simulated one does), lower-case names.
    framing: how a stream is parted: as server-sent events, or as one JSON array.
    compatibility: how the caller's key wants losses of translation to be treated.
    warnings: what was changed or dropped, for the `portico-warnings` header.
    to_embed: reads what is to be turned into vectors; None where words are to be made.  Such a
      prompt needs "embeddings".
    apart: where one request holds several prompts: the same as requests of one prompt each, whose
      choices follow each other; None where it holds one.
    media_characters: of images, audio and files, as they stand in the body (base64).
    file_tokens_max: of the files that an engine gets as they are, by their pages and their text; None
      where nobody has looked into them.
    thoughts_shown: may the answer show what the model thought?  It is counted either way.
    project_id: whose it is; what is sealed for its caller opens for no other project.
    cache_salt: keeps the caller's prompts apart in an engine's prefix cache; "" where none is made.
    named: its answer has an id already, so no engine's own bytes can be it.
    kept: its answer is kept here, for its caller to come back to.
    """

    dialect: str
    model: str
    stream: bool
    body: bytes
    fields: dict[str, msgspec.Raw]
    wants_usage: bool
    choices: int
    output_tokens_max: int | None
    input_tokens_guess: int
    needs: frozenset[Feature]
    conversation: Callable[[], Conversation]
    service_tier: str = "standard"
    hints: dict[str, str] = {}
    framing: Literal["events", "array"] = "events"
    compatibility: Compatibility = "warn"
    warnings: list[str] = []
    media_characters: dict[Feature, int] = {}
    to_embed: Callable[[], ToEmbed] | None = None
    apart: "Callable[[], tuple[Prompt, ...]] | None" = None
    thoughts_shown: bool = True
    file_tokens_max: int | None = None
    project_id: str = ""
    cache_salt: str = ""
    named: bool = False
    kept: bool = False
