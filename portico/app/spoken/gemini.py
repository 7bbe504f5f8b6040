"""Gemini's verbs, under each of the versions that Google's SDKs ask for; here they are one."""

from dataclasses import replace
from functools import partial

from portico.callers.scopes import EMBED
from portico.dialects.gemini import embedding, errors, parse, strictness
from portico.dialects.gemini.contents.signatures import Signatures
from portico.dialects.gemini.request import GenerateRequest
from portico.dialects.gemini.writer import writer_for
from portico.dialects.openai_chat.errors import headers
from portico.door.dialect import Dialect

ROOTS = ("/v1", "/v1beta", "/v1alpha")
COUNTING = tuple(f"{root}/models/{{id}}:countTokens" for root in ROOTS)
"""Paths of what counts."""


def generating(signatures: Signatures) -> dict[str, Dialect]:
    """By path."""
    verbs = _by_verb(signatures)
    return {
        f"{root}/models/{{id}}:{verb}": dialect for root in ROOTS for verb, dialect in verbs.items()
    }


def gemini(signatures: Signatures) -> Dialect:
    return Dialect(
        parse=partial(parse.parse, signatures=signatures),
        writer=partial(writer_for, signatures=signatures),
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


def _by_verb(signatures: Signatures) -> dict[str, Dialect]:
    whole = gemini(signatures)
    streamed = replace(
        whole,
        parse=partial(parse.parse_streamed, signatures=signatures),
        summary="An answer as it is made, in Gemini's words: events with `?alt=sse`, else one "
        "array.",
    )
    embed = replace(
        whole,
        parse=embedding.parse_embed,
        writer=embedding.embed_writer,
        specimen=embedding.SPECIMEN,
        body=embedding.EmbedRequest,
        summary="A vector for a text, in Gemini's words.",
        scope=EMBED,
        strict=strictness.check_embedding,
    )
    batch = replace(
        embed,
        parse=embedding.parse_batch,
        writer=embedding.batch_writer,
        specimen=embedding.BATCH_SPECIMEN,
        body=embedding.BatchRequest,
        summary="Vectors for texts, in Gemini's words.",
    )
    return {
        "generateContent": whole,
        "streamGenerateContent": streamed,
        "embedContent": embed,
        "batchEmbedContents": batch,
    }
