"""Request out: the members of the body that differ from what the caller sent.  Pure.

Everything the caller said passes through, except what we own (model name, usage, cache) and what
this kind of server is known to get wrong.
"""

from typing import Any

import msgspec

from portico import errors
from portico.canon.prompt import Prompt
from portico.dialects.losses import Losses
from portico.dialects.openai_chat.chunks import rewritten
from portico.dialects.openai_chat.upstream import body_for
from portico.dialects.openai_embeddings import upstream as embeddings
from portico.engines.openai_compatible.profile import Profile

Members = dict[str, bytes | None]
"""Name to raw JSON; None removes the member."""

_SALT = "cache_salt"
_NOT_A_CALLERS = frozenset(
    {
        # whose prompts share a cache, and who is served first
        *(_SALT, "extra_key", "id_slot", "session_params", "priority"),
        # which model: adapters have names, rights and prices of their own
        *("lora", "lora_path"),
        # would lift the output cap that was checked
        "n_predict",
        # where an engine's parts find each other, and what runs inside of them
        *("kv_transfer_params", "bootstrap_host", "bootstrap_port", "bootstrap_room"),
        *("data_parallel_rank", "routed_dp_rank", "disagg_prefill_dp_rank", "rid", "request_id"),
        *("custom_logit_processor", "logits_processors", "verbose", "response_fields"),
    }
)
"""Fields with which llama.cpp, vLLM and SGLang let whoever asks reach beyond the one request."""
_TELL_WHY: Members = {"verbose": b"true", "response_fields": b'["stopping_word"]'}
"""llama.cpp adds these fields of its own answer to the last chunk, and no others."""
_NOT_SAID_TO_STRANGERS = frozenset({_SALT})


def request_body(prompt: Prompt, profile: Profile, *, told_why: bool = False) -> bytes:
    """What to send.  told_why: the server shall say which stop sequence it met, where it can be
    asked.  Raises: Refusal: this server cannot do what is asked."""
    changed = changes(prompt, profile)
    if told_why and profile.kind == "llamacpp":
        changed |= _TELL_WHY
    return body_for(prompt, profile.model, changed)


def changes(prompt: Prompt, profile: Profile) -> Members:
    """What to set and remove, beyond what every engine of this dialect is sent."""
    changed = _ours(prompt, profile)
    if profile.kind == "llamacpp":
        _for_llamacpp(prompt, profile, changed)
    elif profile.running_usage and prompt.stream:
        changed["stream_options"] = b'{"include_usage":true,"continuous_usage_stats":true}'
    return changed


def streams(prompt: Prompt, profile: Profile) -> bool:
    """Is the upstream asked to stream?  llama.cpp always is: a whole answer of it counts only
    the first of several choices, tells nothing when cut short, and is silent for as long as it
    is made, which on a slow machine looks like a dead engine."""
    return prompt.stream or profile.kind == "llamacpp"


def vectors_body(prompt: Prompt, profile: Profile) -> bytes:
    """The same for vectors.  Raises: Refusal."""
    body, changed = embeddings.body_for(prompt, profile.model), _ours(prompt, profile)
    return rewritten(body, changed) if changed else body


def _ours(prompt: Prompt, profile: Profile) -> Members:
    """What is not the caller's to say goes, and is said to be gone; whose prompts share the engine's
    prefix cache is said by us.  Raises: Refusal, where the key is strict."""
    changed: Members = {}
    ours = _NOT_SAID_TO_STRANGERS if profile.kind == "generic" else _NOT_A_CALLERS
    if not ours.isdisjoint(prompt.fields):
        losses = Losses(prompt.compatibility)
        for name in sorted(ours.intersection(prompt.fields)):
            losses.drop(name, "it is not the caller's to choose")
            changed[name] = None
        losses.tell(prompt)
    if prompt.cache_salt and profile.kind in ("vllm", "sglang"):
        changed[_SALT] = b'"%b"' % prompt.cache_salt.encode("ascii")
    return changed


def check_media(prompt: Prompt) -> None:
    """An engine must never fetch what a caller names: llama.cpp follows http:// URLs into the
    operator's own network.  The dialect refuses them already; this is the last lock before the
    engine.  Raises: Refusal."""
    if not prompt.needs & {"image", "audio", "file"}:
        return
    for message in msgspec.json.decode(prompt.fields.get("messages", b"[]")):
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            _check_part(part)


def _check_part(part: Any) -> None:
    image = part.get("image_url") if isinstance(part, dict) else None
    url = image.get("url") if isinstance(image, dict) else image
    if isinstance(url, str) and not url.startswith("data:"):
        raise errors.MEDIA_URL_REFUSED(
            "Only inline `data:` URLs are passed to an engine.", field="messages"
        )


def _for_llamacpp(prompt: Prompt, profile: Profile, changed: Members) -> None:
    slots = profile.abilities.concurrency_max
    if prompt.choices > slots:
        raise errors.OUT_OF_RANGE(
            f"'n' is {prompt.choices}; this engine makes at most {slots} choices at once.",
            field="n",
            value=prompt.choices,
            limit=slots,
        )
    # Always said: the server's own default may share, and a caller's wish must not.
    changed["cache_prompt"] = b"true" if profile.share_prefix_cache else b"false"
    if profile.adapter is not None:
        changed["lora"] = msgspec.json.encode([profile.adapter._asdict()])
    changed["timings_per_token"] = b"true"  # exact counts even for an answer cut short
    if not prompt.stream:
        changed["stream"] = b"true"
        changed["stream_options"] = b'{"include_usage":true}'
    if "tool_choice" in prompt.fields:
        _narrow_tools(prompt, changed)


def names_tools(prompt: Prompt) -> bool:
    """Does `tool_choice` name the tools that may be called?"""
    return bytes(prompt.fields.get("tool_choice", b"")).lstrip().startswith(b"{")


def _narrow_tools(prompt: Prompt, changed: Members) -> None:
    """llama.cpp ignores a named tool_choice: offer only what may be chosen, and require it."""
    if not names_tools(prompt):
        return
    choice = msgspec.json.decode(prompt.fields["tool_choice"])
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, dict):
        names, mode = {_name(tool) for tool in allowed["tools"]}, allowed["mode"]
    else:
        names, mode = {_name(choice)}, "required"
    tools = msgspec.json.decode(prompt.fields.get("tools", b"[]")) or []
    changed["tools"] = msgspec.json.encode([tool for tool in tools if _name(tool) in names])
    changed["tool_choice"] = msgspec.json.encode(mode)


def _name(tool: dict[str, Any]) -> str:
    """Of a tool, of a named choice, of an entry of `allowed_tools`: all have one shape."""
    inner = tool.get(tool.get("type", "function"))
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""
