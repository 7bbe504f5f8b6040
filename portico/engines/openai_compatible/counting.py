"""How many tokens a request would be, asked of the server that would run it.

llama.cpp writes the prompt with the model's own template and cuts it up; vLLM does both in one
call.  Other servers have no way to be asked, and none counts images and sound.
"""

from typing import Any

import msgspec

from portico.canon.prompt import Prompt
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.server import Server
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed

_ANSWER_BYTES_MAX = 33_554_432
_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=10.0, idle_s=5.0, total_s=20.0)
_COUNTED = ("messages", "tools")


async def count(transport: Transport, server: Server, profile: Profile, chat: Prompt) -> int | None:
    """chat: the request in Chat.  None where the server does not say."""
    asked = {name: chat.fields[name] for name in _COUNTED if name in chat.fields}
    try:
        if profile.kind == "llamacpp":
            written = await _post(transport, server, "/apply-template", asked)
            content = {"content": written["prompt"], "add_special": True, "parse_special": True}
            return len((await _post(transport, server, "/tokenize", content))["tokens"])
        if profile.kind == "vllm":
            told = await _post(transport, server, "/tokenize", {"model": profile.model, **asked})
            return int(told["count"])
    except (TransportFailed, KeyError, TypeError, ValueError):
        return None
    return None


async def _post(transport: Transport, server: Server, path: str, body: Any) -> dict[str, Any]:
    """Raises: TransportFailed; ValueError: another status, or no JSON object."""
    call = Call(
        server.origin,
        "POST",
        server.base_path + path,
        server.headers,
        msgspec.json.encode(body),
        _DEADLINES,
        reuse=False,
    )
    answer = await transport.send(call)
    try:
        said = await answer.read(_ANSWER_BYTES_MAX)
    finally:
        answer.close()
    if answer.status != 200:
        raise ValueError(answer.status)
    return msgspec.json.decode(said, type=dict[str, Any])
