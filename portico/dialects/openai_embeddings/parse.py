"""An Embeddings body becomes a Prompt."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from portico import errors
from portico.canon.conversation import Conversation, Message, TextPart
from portico.canon.embedding import Input, ToEmbed
from portico.canon.prompt import Prompt
from portico.dialects.body import PROJECT, checked, json_object, obeyed, without_bom
from portico.dialects.diagnosis import out_of_range, wrong_type
from portico.dialects.losses import unknown
from portico.dialects.openai_chat.plain import fields_of
from portico.dialects.openai_chat.request import ModelName
from portico.errors import Refusal

DIALECT = "openai_embeddings"
INPUTS_MAX = 2_048
"""Texts in one request."""
DIMENSIONS_MAX = 65_536
TOKEN_ID_MAX = 2**31 - 1

SPECIMEN: dict[str, Any] = {"model": "-", "input": "-"}
"""The smallest valid request."""


class EmbeddingsRequest(Struct):
    """`input`: one text, texts, one text as token ids, or several as lists of token ids."""

    model: ModelName
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=DIMENSIONS_MAX)] | None = None
    user: str | None = None


def parse(body: bytes, hints: dict[str, str]) -> Prompt:
    """Read and check a request body.

    Raises: Refusal with a 4xx status, naming field, value and limit; never anything else.
    """
    body = without_bom(body)
    request = checked(json_object(body), EmbeddingsRequest)
    _check_input(request.input)
    return Prompt(
        dialect=DIALECT,
        model=request.model,
        stream=False,
        body=body,
        fields=fields_of(body),
        wants_usage=True,
        choices=1,
        output_tokens_max=0,
        input_tokens_guess=len(body) // 4,
        needs=frozenset({"embeddings"}),
        conversation=partial(_converse, body),
        hints=obeyed(hints),
        project_id=hints.get(PROJECT, ""),
        to_embed=partial(_read, body),
    )


def wants_base64(prompt: Prompt) -> bool:
    """Of a prompt of this dialect: what the caller's SDK can read.  Floats where nothing is said."""
    return bytes(prompt.fields.get("encoding_format", b"")) == b'"base64"'


def _check_input(given: str | list[Any]) -> None:
    if not given:
        raise _empty("input")
    if isinstance(given, str):
        return
    first = given[0]
    if type(first) is int:
        _check_tokens("input", given)
        return
    if len(given) > INPUTS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'input' has {len(given)} items; it must have at most {INPUTS_MAX}.",
            field="input",
            value=len(given),
            limit=INPUTS_MAX,
            remedy="Send the texts in several requests.",
        )
    if isinstance(first, list):
        for at, tokens in enumerate(given):
            _check_list(f"input[{at}]", tokens)
        return
    for at, text in enumerate(given):
        if type(text) is not str:
            raise wrong_type(f"input[{at}]", text, ["str"])
        if not text:
            raise _empty(f"input[{at}]")


def _check_list(path: str, tokens: Any) -> None:
    if not isinstance(tokens, list):
        raise wrong_type(path, tokens, ["array"])
    if not tokens:
        raise _empty(path)
    _check_tokens(path, tokens)


def _check_tokens(path: str, tokens: list[Any]) -> None:
    for at, token in enumerate(tokens):
        if type(token) is not int:
            raise wrong_type(f"{path}[{at}]", token, ["int"])
        if not 0 <= token <= TOKEN_ID_MAX:
            raise out_of_range(f"{path}[{at}]", token, f"from 0 to {TOKEN_ID_MAX}", TOKEN_ID_MAX)


def _empty(path: str) -> Refusal:
    return errors.INVALID_VALUE(
        f"{path!r} is empty; there is nothing to embed: it must hold text or token ids.",
        field=path,
        value=0,
        limit="at least one character or token",
    )


def _read(body: bytes) -> ToEmbed:
    request = checked(json_object(body), EmbeddingsRequest)
    return ToEmbed(tuple(_inputs(request.input)), request.dimensions)


def _inputs(given: str | list[Any]) -> Iterator[Input]:
    if isinstance(given, str):
        yield given
    elif type(given[0]) is int:
        yield tuple(given)
    else:
        yield from (text if isinstance(text, str) else tuple(text) for text in given)


def _converse(body: bytes) -> Conversation:
    """For whoever counts the texts; token ids say nothing to anybody but the model."""
    document = json_object(body)
    texts = (
        text
        for text in _inputs(checked(document, EmbeddingsRequest).input)
        if isinstance(text, str)
    )
    return Conversation(
        tuple(Message("user", (TextPart(text),)) for text in texts),
        dropped=tuple(unknown(document, EmbeddingsRequest)),
    )
