"""A Completions body becomes a Prompt."""

from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from portico import errors
from portico.canon.conversation import Conversation, Message, Sampling, TextPart
from portico.canon.prompt import Feature, Prompt
from portico.dialects.body import PROJECT, checked, json_object, obeyed, without_bom
from portico.dialects.diagnosis import out_of_range, wrong_type
from portico.dialects.losses import unknown
from portico.dialects.openai_chat.plain import fields_of
from portico.dialects.openai_chat.request import (
    ENGINES_OWN,
    Choices,
    ModelName,
    Penalty,
    Seed,
    Share,
    Stop,
    StreamOptions,
    Temperature,
    Tokens,
)
from portico.dialects.openai_chat.rules import check_bias
from portico.errors import Refusal

DIALECT = "openai_completions"
TOKENS_DEFAULT = 16
"""Of an answer whose length nobody limits: the protocol's own default."""
CHOICES_MAX = 128
"""Of all prompts of a request together."""
_TOKEN_ID_MAX = 2**31 - 1

SPECIMEN: dict[str, Any] = {"model": "-", "prompt": "-"}
"""The smallest valid request."""

OnePrompt = str | list[int]


class CompletionsRequest(Struct):
    """`prompt`: one text, texts, one text as token ids, or several as lists of token ids."""

    model: ModelName
    prompt: str | list[Any]
    max_tokens: Tokens | None = None
    n: Choices | None = None
    best_of: Choices | None = None
    stop: Stop | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed | None = None
    logit_bias: dict[str, Any] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    user: str | None = None


KNOWN = frozenset(CompletionsRequest.__struct_fields__) | ENGINES_OWN
"""Fields that are not strange here; those that are not checked are passed on."""


def parse(body: bytes, hints: dict[str, str]) -> Prompt:
    """Read and check a request body.

    Raises: Refusal with a 4xx status, naming field, value and limit; never anything else.
    """
    body = without_bom(body)
    request = read(body)
    prompts = prompts_of(request)
    each = request.n or 1
    _check_choices(request, len(prompts))
    for token, bias in (request.logit_bias or {}).items():
        check_bias(token, bias)
    if request.stream_options is not None and request.stream is not True:
        raise errors.INVALID_VALUE(
            "'stream_options' is set, but 'stream' is not true; leave it out, or set 'stream'.",
            field="stream_options",
            value="an object",
            limit="stream: true",
        )
    options = request.stream_options
    prompt = Prompt(
        dialect=DIALECT,
        model=request.model,
        stream=request.stream is True,
        body=body,
        fields=fields_of(body),
        wants_usage=options is not None and options.include_usage is True,
        choices=len(prompts) * each,
        output_tokens_max=request.max_tokens or TOKENS_DEFAULT,
        input_tokens_guess=len(body) // 4,
        needs=_needs(request),
        conversation=partial(_converse, body),
        hints=obeyed(hints),
        project_id=hints.get(PROJECT, ""),
    )
    if isinstance(request.prompt, list) and len(prompts) > 1:
        prompt.apart = partial(_apart, prompt)
    return prompt


def read(body: bytes) -> CompletionsRequest:
    """Raises: Refusal."""
    return checked(json_object(body), CompletionsRequest)


def prompts_of(request: CompletionsRequest) -> list[OnePrompt]:
    """One for each answer, times n.  Raises: Refusal."""
    given = request.prompt
    if isinstance(given, str):
        return [given]
    if not given:
        raise errors.INVALID_VALUE(
            "'prompt' is empty; it must hold text or token ids.",
            field="prompt",
            value=0,
            limit="at least one item",
        )
    if type(given[0]) is int:
        return [_tokens("prompt", given)]
    if isinstance(given[0], list):
        return [_tokens(f"prompt[{at}]", tokens) for at, tokens in enumerate(given)]
    for at, text in enumerate(given):
        if not isinstance(text, str):
            raise wrong_type(f"prompt[{at}]", text, ["str"])
    return given


def check_written_here(request: CompletionsRequest) -> None:
    """What only an engine with Completions of its own can do.  Raises: Refusal."""
    if request.suffix:
        raise _lacking("suffix", request.suffix, "text can only be continued, not filled in")
    if request.echo and request.logprobs is not None:
        raise _lacking("logprobs", request.logprobs, "it gives none for the prompt that is echoed")
    if request.echo and not all(isinstance(each, str) for each in prompts_of(request)):
        raise _lacking("echo", True, "token ids cannot be written out here")


def _tokens(path: str, given: Any) -> list[int]:
    if not isinstance(given, list):
        raise wrong_type(path, given, ["array"])
    for at, token in enumerate(given):
        if type(token) is not int:
            raise wrong_type(f"{path}[{at}]", token, ["int"])
        if not 0 <= token <= _TOKEN_ID_MAX:
            raise out_of_range(f"{path}[{at}]", token, f"from 0 to {_TOKEN_ID_MAX}", _TOKEN_ID_MAX)
    return given


def _check_choices(request: CompletionsRequest, prompts: int) -> None:
    each = request.n or 1
    if prompts * each > CHOICES_MAX:
        field = "prompt" if prompts > CHOICES_MAX else "n"
        raise out_of_range(
            field,
            each if field == "n" else prompts,
            f"such that prompts times choices are at most {CHOICES_MAX}",
            CHOICES_MAX,
        )
    if request.best_of is not None and request.best_of != each:
        # What is set aside is set aside for n answers; more made in secret would be unpaid.
        raise errors.INVALID_VALUE(
            f"'best_of' is {request.best_of} and 'n' is {each}; only as many answers are made as "
            "are given: it must be the same.",
            field="best_of",
            value=request.best_of,
            limit=each,
        )


def _needs(request: CompletionsRequest) -> frozenset[Feature]:
    needs: set[Feature] = set()
    if (request.n or 1) > 1:
        needs.add("choices")
    if request.logprobs is not None:
        needs.add("logprobs")
    return frozenset(needs)


def _apart(prompt: Prompt) -> tuple[Prompt, ...]:
    """The same, one prompt at a time."""
    prompts = prompts_of(read(prompt.body))
    fields = [{**prompt.fields, "prompt": msgspec.Raw(msgspec.json.encode(p))} for p in prompts]
    return tuple(_single(prompt, each, len(prompts)) for each in fields)


def _single(prompt: Prompt, fields: dict[str, msgspec.Raw], of: int) -> Prompt:
    body = msgspec.json.encode(fields)
    return replace(
        prompt,
        body=body,
        fields=fields,
        choices=prompt.choices // of,
        conversation=partial(_converse, body),
        apart=None,
    )


def _converse(body: bytes) -> Conversation:
    """The text, as the one thing a user says.  Raises: Refusal: there is no saying it so."""
    document = json_object(body)
    request = checked(document, CompletionsRequest)
    check_written_here(request)
    prompts = prompts_of(request)
    if len(prompts) != 1 or not isinstance(prompts[0], str):
        raise _lacking("prompt", "token ids", "it takes text, one prompt at a time")
    stop = request.stop
    return Conversation(
        items=(Message("user", (TextPart(prompts[0]),)),),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        sampling=Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            frequency_penalty=request.frequency_penalty,
            presence_penalty=request.presence_penalty,
            seed=request.seed,
            logit_bias=request.logit_bias,
        ),
        top_logprobs=request.logprobs,
        user=request.user or "",
        dropped=tuple(unknown(document, CompletionsRequest)),
    )


def _lacking(field: str, value: Any, why: str) -> Refusal:
    return errors.UNSUPPORTED_FEATURE(
        f"{field!r} cannot be passed on to this model's engine: {why}.",
        field=field,
        value=value,
    )
