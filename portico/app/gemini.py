"""Gemini's verbs, under each of the versions that Google's SDKs ask for; here they are one."""

from collections.abc import Mapping
from dataclasses import replace

from portico.callers.scopes import EMBED
from portico.dialects.gemini import embedding, errors, parse, strictness
from portico.dialects.gemini.request import GenerateRequest
from portico.dialects.gemini.writer import writer_for
from portico.dialects.openai_chat.errors import headers
from portico.door.dialect import Dialect

GEMINI = Dialect(
    parse=parse.parse,
    writer=writer_for,
    envelope=errors.render,
    headers=headers,
    event=errors.stream_error,
    specimen=parse.SPECIMEN,
    body=GenerateRequest,
    summary="An answer, in Gemini's words.",
    strict=strictness.check,
    passage=errors.passage,
    comments=False,
)
_STREAMED = replace(
    GEMINI,
    parse=parse.parse_streamed,
    summary="An answer as it is made, in Gemini's words: events with `?alt=sse`, else one array.",
)
_EMBED = replace(
    GEMINI,
    parse=embedding.parse_embed,
    writer=embedding.embed_writer,
    specimen=embedding.SPECIMEN,
    body=embedding.EmbedRequest,
    summary="A vector for a text, in Gemini's words.",
    scope=EMBED,
    strict=strictness.check_embedding,
)
_BATCH = replace(
    GEMINI,
    parse=embedding.parse_batch,
    writer=embedding.batch_writer,
    specimen=embedding.BATCH_SPECIMEN,
    body=embedding.BatchRequest,
    summary="Vectors for texts, in Gemini's words.",
    scope=EMBED,
    strict=strictness.check_embedding,
)
VERBS = {
    "generateContent": GEMINI,
    "streamGenerateContent": _STREAMED,
    "embedContent": _EMBED,
    "batchEmbedContents": _BATCH,
}

ROOTS = ("/v1", "/v1beta", "/v1alpha")

GENERATING: Mapping[str, Dialect] = {
    f"{root}/models/{{id}}:{verb}": dialect for root in ROOTS for verb, dialect in VERBS.items()
}
COUNTING = tuple(f"{root}/models/{{id}}:countTokens" for root in ROOTS)
"""Paths, of what generates and of what counts."""
