"""Does a server make vectors?  Asked with one word, where it does not say by itself."""

import msgspec

from portico.engines.openai_compatible.server import Server
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed

_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=60.0, idle_s=15.0, total_s=90.0)
_ANSWER_BYTES_MAX = 1_048_576


async def embeds(transport: Transport, server: Server, model: str) -> bool:
    body = msgspec.json.encode({"model": model, "input": "one"})
    call = Call(
        server.origin,
        "POST",
        server.embeddings_target,
        server.headers,
        body,
        _DEADLINES,
        reuse=False,
    )
    try:
        answer = await transport.send(call)
        try:
            await answer.read(_ANSWER_BYTES_MAX)
        finally:
            answer.close()
    except TransportFailed:
        return False
    return answer.status == 200
