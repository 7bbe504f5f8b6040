"""What types cannot say about a request: words of enumerations, and fields that need, forbid or name
each other."""

from collections.abc import Iterator, Sequence
from typing import Any

from portico import errors
from portico.canon.prompt import Feature
from portico.dialects.diagnosis import brief, not_one_of, shown
from portico.dialects.gemini.contents.inline import check_blob, refuse_file
from portico.dialects.gemini.contents.pairing import Calls
from portico.dialects.gemini.contents.schema import json_schema
from portico.dialects.gemini.request import (
    Content,
    FunctionDeclaration,
    FunctionResponse,
    GenerateRequest,
    GenerationConfig,
    Part,
    ThinkingConfig,
    placed,
)
from portico.dialects.openai_chat.schema import check_schema

ROLES = ("user", "model", "function")
MODES = {
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
    "MODE_UNSPECIFIED": "auto",
}
LEVELS = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
    "THINKING_LEVEL_UNSPECIFIED": "",
}
TIERS = {"STANDARD": "standard", "FLEX": "flex", "PRIORITY": "priority", "UNSPECIFIED": "standard"}
_JSON, _TEXT = "application/json", "text/plain"
_FORMATS = {"APPLICATION_JSON": _JSON, "TEXT_PLAIN": _TEXT}
CONFIG = "generationConfig"
_CHOSEN = "toolConfig.functionCallingConfig"


def one_of(path: str, value: str, options: Sequence[str]) -> str:
    """`value` in capitals, one of `options`.  Raises: Refusal: invalid_value."""
    word = value.upper()
    if word not in options:
        raise not_one_of(path, value, list(options))
    return word


# What was said
def check_contents(request: GenerateRequest) -> dict[Feature, int]:
    """Give the characters of base64 media, by what a model must take in to use them."""
    characters: dict[Feature, int] = {}
    calls = Calls()
    for path, content in placed("contents", request.contents):
        if content.role and content.role not in ROLES:
            raise not_one_of(f"{path}.role", content.role, list(ROLES))
        for feature, count in _check_parts(path, content, calls):
            characters[feature] = characters.get(feature, 0) + count
    if request.system_instruction is not None:
        for feature, count in _check_parts(
            "systemInstruction", request.system_instruction, Calls()
        ):
            characters[feature] = characters.get(feature, 0) + count
    return characters


def _check_parts(path: str, content: Content, calls: Calls) -> Iterator[tuple[Feature, int]]:
    for at, part in placed(f"{path}.parts", content.parts):
        if part.file_data is not None:
            raise refuse_file(f"{at}.fileData", part.file_data)
        yield from _check_files(at, part)
        if part.function_call is not None:
            calls.made(part.function_call)
        if part.function_response is not None:
            yield from _check_response(f"{at}.functionResponse", part.function_response, calls)


def _check_files(path: str, part: Any) -> Iterator[tuple[Feature, int]]:
    if part.inline_data is not None:
        feature, characters = check_blob(f"{path}.inlineData", part.inline_data)
        if feature is not None:
            yield feature, characters


def _check_response(
    path: str, response: FunctionResponse, calls: Calls
) -> Iterator[tuple[Feature, int]]:
    if calls.answered(response) is None:
        raise errors.INVALID_VALUE(
            f"{path!r} is of {shown(response.name)}, but no 'functionCall' of that name or id "
            "before it is without its response; send the call with it.",
            field=path,
            value=brief(response.name),
            limit="one response for each call",
        )
    for at, part in placed(f"{path}.parts", response.parts):
        if part.file_data is not None:
            raise refuse_file(f"{at}.fileData", part.file_data)
        yield from _check_files(at, part)


def says_nothing(part: Part) -> bool:
    """Is it of a kind that is not known here?"""
    said = (
        part.text,
        part.inline_data,
        part.function_call,
        part.function_response,
        part.executable_code,
        part.code_execution_result,
        part.tool_call,
        part.tool_response,
        part.thought_signature,
    )
    return all(one is None for one in said)


# Tools
def declared(request: GenerateRequest) -> list[tuple[str, FunctionDeclaration]]:
    """Every function and its path."""
    return [
        found
        for path, tool in placed("tools", request.tools)
        for found in placed(f"{path}.functionDeclarations", tool.function_declarations)
    ]


def choice_of(request: GenerateRequest) -> tuple[str, frozenset[str] | None]:
    """The choice in canon words, and the names it narrows the functions to (None: all)."""
    config = request.tool_config.function_calling_config if request.tool_config else None
    if config is None:
        return "auto", None
    mode = one_of(f"{_CHOSEN}.mode", config.mode or "AUTO", tuple(MODES))
    names = config.allowed_function_names
    return MODES[mode], frozenset(names) if names else None


def check_tools(request: GenerateRequest) -> bool:
    """Is there a function?  Raises: Refusal."""
    functions = declared(request)
    known = [function.name for _, function in functions]
    choice, allowed = choice_of(request)
    for name in sorted(allowed or ()):
        if name not in known:
            raise not_one_of(f"{_CHOSEN}.allowedFunctionNames", name, known)
    if choice == "required" and not functions:
        raise errors.MISSING_FIELD(
            f"'tools[].functionDeclarations' is missing: '{_CHOSEN}.mode' asks for a call, and "
            "only functions that are declared can be called here.",
            field="tools[0].functionDeclarations",
            limit="required",
        )
    for path, function in functions:
        if function.parameters is not None and function.parameters_json_schema is not None:
            raise _both(f"{path}.parameters", f"{path}.parametersJsonSchema")
    return bool(functions)


def _both(one: str, other: str) -> errors.Refusal:
    return errors.INVALID_VALUE(
        f"{one!r} and {other!r} are both set; send one of them.",
        field=one,
        value="an object",
        limit=f"without {other}",
    )


# How to answer
def check_config(config: GenerationConfig) -> set[Feature]:
    """What it needs of a model.  Raises: Refusal."""
    needs: set[Feature] = set()
    if config.candidate_count is not None and config.candidate_count > 1:
        needs.add("choices")
    if config.response_logprobs:
        needs.add("logprobs")
    elif config.logprobs:
        raise errors.INVALID_VALUE(
            f"'{CONFIG}.logprobs' is {config.logprobs}, but '{CONFIG}.responseLogprobs' is not "
            "true; leave it out, or set that.",
            field=f"{CONFIG}.logprobs",
            value=config.logprobs,
            limit="responseLogprobs: true",
        )
    for word in config.response_modalities or ():
        _check_modality(word)
    if config.thinking_config is not None:
        level_of(config.thinking_config)
    schema = schema_of(config)
    if schema:
        check_schema(_place_of_schema(config), schema)
        needs.add("json_schema")
    return needs


def _check_modality(word: str) -> None:
    path = f"{CONFIG}.responseModalities"
    known = ("TEXT", "IMAGE", "AUDIO", "VIDEO", "MODALITY_UNSPECIFIED")
    if one_of(path, word, known) in ("IMAGE", "AUDIO", "VIDEO"):
        raise errors.UNSUPPORTED_FEATURE(
            f"{path!r} asks for {shown(word)}; answers are text here.",
            field=path,
            value=brief(word),
            limit=["TEXT"],
        )


def level_of(thinking: ThinkingConfig) -> str:
    """The effort its level asks for, "" for none said.  Raises: Refusal: invalid_value."""
    path = f"{CONFIG}.thinkingConfig.thinkingLevel"
    return LEVELS[one_of(path, thinking.thinking_level or "THINKING_LEVEL_UNSPECIFIED", [*LEVELS])]


def schema_of(config: GenerationConfig) -> dict[str, Any] | None:
    """The JSON schema of the answer, {} for any JSON, None for text.  Raises: Refusal."""
    if config.response_schema is not None and config.response_json_schema is not None:
        raise _both(f"{CONFIG}.responseSchema", f"{CONFIG}.responseJsonSchema")
    schema = json_schema(config.response_schema) or config.response_json_schema
    kind = _mime_type(f"{CONFIG}.responseMimeType", config.response_mime_type)
    for path, form in placed(f"{CONFIG}.responseFormat", config.response_format):
        if form.audio or form.image or form.video:
            raise errors.UNSUPPORTED_FEATURE(
                f"{path!r} asks for more than text; answers are text here.",
                field=path,
                limit=["text"],
            )
        if form.text is not None:
            schema = schema or form.text.schema
            kind = _mime_type(f"{path}.text.mimeType", form.text.mime_type) or kind
    if schema:
        found: dict[str, Any] = schema
        return found
    return {} if kind == _JSON else None


def _mime_type(path: str, said: str | None) -> str:
    if not said:
        return ""
    kind = _FORMATS.get(said.upper(), said.lower())
    if kind not in (_JSON, _TEXT):
        raise not_one_of(path, said, [_TEXT, _JSON])
    return kind


def _place_of_schema(config: GenerationConfig) -> str:
    if config.response_schema is not None:
        return f"{CONFIG}.responseSchema"
    if config.response_json_schema is not None:
        return f"{CONFIG}.responseJsonSchema"
    return f"{CONFIG}.responseFormat"


# How it is served
def tier_of(request: GenerateRequest) -> str:
    """What it is priced as.  Raises: Refusal: invalid_value."""
    said = (request.service_tier or "UNSPECIFIED").upper().removeprefix("SERVICE_TIER_")
    if said not in TIERS:
        raise not_one_of("serviceTier", request.service_tier, [word.lower() for word in TIERS])
    return TIERS[said]


def check_cache(request: GenerateRequest) -> None:
    if request.cached_content:
        raise errors.UNSUPPORTED_FEATURE(
            f"'cachedContent' is {shown(request.cached_content)}; no cached contents are kept "
            "here.",
            field="cachedContent",
            value=brief(request.cached_content),
            limit=None,
            remedy="Send the contents themselves; a prefix that comes again is read from the "
            "engine's cache by itself.",
        )
