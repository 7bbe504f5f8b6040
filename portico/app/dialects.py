"""What is spoken at the door, and where."""

from collections.abc import Mapping

from portico.dialects.openai_chat import errors as chat_errors
from portico.dialects.openai_chat.parse import SPECIMEN, parse
from portico.dialects.openai_chat.request import ChatRequest
from portico.dialects.openai_chat.writer import writer_for
from portico.dialects.openai_embeddings import parse as embeddings
from portico.dialects.openai_embeddings.writer import VectorsWriter
from portico.door.dialect import Dialect
from portico.door.speech import Speech

OPENAI_CHAT = Dialect(
    parse=parse,
    writer=writer_for,
    envelope=chat_errors.render,
    headers=chat_errors.headers,
    event=chat_errors.stream_error,
    specimen=SPECIMEN,
    body=ChatRequest,
    summary="Chat Completions, in OpenAI's words.",
)

OPENAI_EMBEDDINGS = Dialect(
    parse=embeddings.parse,
    writer=VectorsWriter,
    envelope=chat_errors.render,
    headers=chat_errors.headers,
    event=chat_errors.stream_error,
    specimen=embeddings.SPECIMEN,
    body=embeddings.EmbeddingsRequest,
    summary="Vectors for texts, in OpenAI's words.",
)

GENERATING: Mapping[str, Dialect] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/embeddings": OPENAI_EMBEDDINGS,
}
"""By the path a request to generate is sent to."""

OTHERS: Mapping[Speech, Dialect] = {}
"""Who is answered in other words than OpenAI's."""
