"""Files of a request, in every dialect's own way of sending them, as a model's engines get them."""

import io
import json
from base64 import b64decode
from typing import Any

import pytest
from PIL import Image

from portico.callers.model import Caller
from portico.canon.conversation import FilePart, ImagePart, Message, TextPart, ToolResult
from portico.canon.prompt import Compatibility, Feature, Prompt
from portico.dialects.anthropic_messages.parse import parse as parse_with
from portico.dialects.openai_chat.parse import parse as parse_chat
from portico.door.intake.files import Files, Parse
from portico.engines.base import Abilities
from portico.errors import Refusal
from portico.kit.leaving import Leaving
from portico.media.service import Decoders
from portico.pricing.media import IMAGE_TOKENS_MIN, image_bound, media_bounds
from portico.routing.model import Deployment
from tests.dialects.anthropic_messages.bodies import SIGNATURES
from tests.dialects.gemini.bodies import parse as parse_gemini
from tests.dialects.openai_responses.bodies import PARSER
from tests.door.rooms import Scripted, says
from tests.media.corpus import base64, blank_png, locked_pdf, moving, pdf, picture, wav

pytestmark = pytest.mark.anyio

PAPER = base64(pdf("One of two", "Two of two"))
WRITTEN = ("[paper.pdf, page 1 of 2]\nOne of two", "[paper.pdf, page 2 of 2]\nTwo of two")
CALLER = Caller("key_a", "proj_a", "org_a", "live", 10)
BLIND: frozenset[Feature] = frozenset({"tools"})
SEES = Abilities(frozenset({"image", "audio"}), None, 1)
SHOWS = Abilities(frozenset({"image"}), None, 1, sees_pages=True)
READS = Abilities(frozenset({"image", "file"}), None, 1)


def chat(*parts: Any, **more: Any) -> tuple[Any, Parse]:
    document = {"model": "m", "messages": [{"role": "user", "content": list(parts)}], **more}
    return document, lambda body: parse_chat(body, {})


def responses(*parts: Any) -> tuple[Any, Parse]:
    document = {"model": "m", "input": [{"role": "user", "content": list(parts)}]}
    return document, lambda body: PARSER.create(body, {})


def messages(*parts: Any) -> tuple[Any, Parse]:
    said = [{"role": "user", "content": list(parts)}]
    document = {"model": "m", "max_tokens": 9, "messages": said}
    return document, lambda body: parse_with(body, {}, SIGNATURES)


def gemini(*parts: Any) -> tuple[Any, Parse]:
    document = {"contents": [{"role": "user", "parts": list(parts)}]}
    return document, lambda body: parse_gemini(body, {":rest": "m"})


def chat_file(data: str, name: str | None = "paper.pdf") -> Any:
    return {"type": "file", "file": {"file_data": data} | ({"filename": name} if name else {})}


def shown(data: bytes, kind: str = "image/png") -> Any:
    url = f"data:{kind};base64,{base64(data)}"
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


PAPERS: dict[str, tuple[Any, Parse]] = {
    "chat": chat(chat_file(f"data:application/pdf;base64,{PAPER}")),
    "chat, bare": chat(chat_file(PAPER)),
    "responses": responses(
        {
            "type": "input_file",
            "file_data": f"data:application/pdf;base64,{PAPER}",
            "filename": "paper.pdf",
        }
    ),
    "messages": messages(
        {
            "type": "document",
            "title": "paper.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PAPER},
        }
    ),
    "gemini": gemini(
        {
            "inlineData": {
                "mimeType": "application/pdf",
                "data": PAPER,
                "displayName": "paper.pdf",
            }
        }
    ),
    "gemini, in snakes": gemini(
        {
            "inline_data": {
                "mime_type": "application/pdf",
                "data": PAPER.replace("+", "-").replace("/", "_"),
                "display_name": "paper.pdf",
            }
        }
    ),
}


async def fitted(
    decoders: Decoders,
    asked: tuple[Any, Parse],
    *abilities: Abilities,
    compatibility: Compatibility = "warn",
    bytes_max: int = 10_000_000,
) -> Prompt:
    document, parse = asked
    prompt = parse(json.dumps(document).encode())
    prompt.compatibility = compatibility
    serving = [
        Deployment(f"d{at}", "m", Scripted(says(), abilities=each), "us", 0)  # type: ignore[arg-type]  # no count
        for at, each in enumerate(abilities)
    ]
    files = Files(decoders, lambda _, __: serving, bytes_max=bytes_max)
    return await files.fit(prompt, CALLER, parse, Leaving())


async def refused(decoders: Decoders, asked: tuple[Any, Parse], *abilities: Abilities) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await fitted(decoders, asked, *abilities)
    return caught.value


def parts_of(prompt: Prompt) -> list[Any]:
    (item,) = prompt.conversation().items
    assert isinstance(item, Message)
    return list(item.parts)


def texts_of(prompt: Prompt) -> list[str]:
    return [part.text for part in parts_of(prompt) if isinstance(part, TextPart)]


@pytest.mark.parametrize("way", PAPERS)
async def test_a_paper_is_text_to_an_engine_that_reads_none(decoders: Decoders, way: str) -> None:
    prompt = await fitted(decoders, PAPERS[way], Abilities(BLIND, None, 1))
    assert texts_of(prompt) == list(WRITTEN)
    assert prompt.needs == frozenset()
    assert prompt.media_characters == {}
    assert any("mapped" in each for each in prompt.warnings)
    assert PAPER.encode() not in prompt.body


@pytest.mark.parametrize("way", PAPERS)
async def test_its_pages_are_also_shown_to_one_that_sees(decoders: Decoders, way: str) -> None:
    prompt = await fitted(decoders, PAPERS[way], SHOWS)
    kinds = [type(part) for part in parts_of(prompt)]
    assert kinds == [TextPart, ImagePart, TextPart, ImagePart]
    assert prompt.needs == {"image"}
    page = parts_of(prompt)[1]
    assert page.url.startswith("data:image/jpeg;base64,")
    # Held and checked by what it is now, not by its base64.
    assert media_bounds(prompt)["image"] == sum(
        image_bound(part.url) for part in parts_of(prompt) if isinstance(part, ImagePart)
    )


@pytest.mark.parametrize("way", PAPERS)
async def test_one_that_reads_papers_gets_the_bytes_that_came(decoders: Decoders, way: str) -> None:
    document, parse = PAPERS[way]
    before = parse(json.dumps(document).encode())
    prompt = await fitted(decoders, PAPERS[way], READS)
    assert prompt.body == before.body
    assert prompt.warnings == before.warnings
    (part,) = parts_of(prompt)
    assert isinstance(part, FilePart)
    # By its pages and their text, and known before it is admitted.
    assert media_bounds(prompt)["file"] == 2 * IMAGE_TOKENS_MIN + len("One of twoTwo of two")


async def test_one_reader_among_a_models_deployments_is_enough(decoders: Decoders) -> None:
    prompt = await fitted(decoders, PAPERS["chat"], Abilities(BLIND, None, 1), READS)
    assert prompt.needs == {"file"}


async def test_an_engine_of_which_it_is_not_known_that_it_sees_is_shown_no_pages(
    decoders: Decoders,
) -> None:
    assert len(parts_of(await fitted(decoders, PAPERS["chat"], SEES))) == 2
    document, parse = PAPERS["chat"]
    prompt = parse(json.dumps(document).encode())
    serving = [Deployment("d", "m", Scripted(says(), abilities=SEES), "us", 0)]  # type: ignore[arg-type]  # no count
    files = Files(decoders, lambda _, __: serving, bytes_max=10**7, page_images_for=["m"])
    assert len(parts_of(await files.fit(prompt, CALLER, parse, Leaving()))) == 4


async def test_what_stands_around_a_paper_stays_where_it_was(decoders: Decoders) -> None:
    before, after = {"type": "text", "text": "Read"}, {"type": "text", "text": "and say"}
    asked = chat(before, chat_file(PAPER), after, chat_file(PAPER, None), x=[1, {"y": None}])
    prompt = await fitted(decoders, asked, SEES)
    assert texts_of(prompt) == [
        "Read",
        *WRITTEN,
        "and say",
        *(each.replace("paper.pdf", "file") for each in WRITTEN),
    ]
    assert json.loads(prompt.body)["x"] == [1, {"y": None}]


async def test_files_in_the_results_of_tools(decoders: Decoders) -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    source = {"type": "base64", "media_type": "application/pdf", "data": PAPER}
    paper = {"type": "document", "source": source, "context": "From the shelf", "title": "a\n[b]"}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [paper]}
    said = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    document = {"model": "m", "max_tokens": 9, "messages": said}
    prompt = await fitted(decoders, (document, lambda body: parse_with(body, {}, SIGNATURES)), SEES)
    found = prompt.conversation().items[-1]
    assert isinstance(found, ToolResult)
    assert found.text.startswith("From the shelf\n[ab, page 1 of 2]\nOne of two")


async def test_a_paper_in_the_answer_of_geminis_function(decoders: Decoders) -> None:
    blob = {"inlineData": {"mimeType": "application/pdf", "data": PAPER}}
    contents = [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "f", "response": {}, "parts": [blob]}}],
        },
    ]
    asked = {"contents": contents}, lambda body: parse_gemini(body, {":rest": "m"})
    prompt = await fitted(decoders, asked, SEES)
    found = prompt.conversation().items[-1]
    assert isinstance(found, ToolResult)
    assert "One of two" in found.text
    assert "file" not in prompt.needs


@pytest.mark.parametrize(
    ("data", "name", "text"),
    [
        ("data:text/csv;base64,", "t.csv", "a,b\n1,ü\n"),
        ("data:text/markdown;base64,", "t.md", "# é"),
        ("data:application/json;base64,", "t.json", '{"a": 1}'),
        ("", "t.txt", "plain"),
    ],
)
async def test_files_of_text_are_text(decoders: Decoders, data: str, name: str, text: str) -> None:
    asked = chat(chat_file(data + base64(text.encode()), name))
    for abilities in (SEES, READS):
        prompt = await fitted(decoders, asked, abilities)
        assert texts_of(prompt) == [f"[{name}]\n{text}"]
        assert prompt.warnings == []


@pytest.mark.parametrize(
    ("file", "code", "value"),
    [
        (f"data:application/pdf;base64,{base64(locked_pdf())}", "invalid_media", "encrypted"),
        (f"data:application/pdf;base64,{base64(b'%PDF-1.7')}", "invalid_media", "broken"),
        (f"data:application/pdf;base64,{base64(pdf(*['x'] * 101))}", "media_too_large", 101),
        (f"data:text/plain;base64,{base64(b'ab' + bytes([0xFF]))}", "invalid_media", "ff"),
        (f"data:application/msword;base64,{base64(b'words')}", "invalid_media", None),
        (base64(bytes(range(256))), "invalid_media", None),
        (base64(pdf("")), "invalid_media", "no text"),
    ],
)
async def test_what_cannot_be_read_is_refused_where_it_stands(
    decoders: Decoders, file: str, code: str, value: Any
) -> None:
    refusal = await refused(decoders, chat(chat_file(file)), SEES)
    assert refusal.code == code
    assert refusal.field == "messages[0].content[0].file.file_data"
    assert value is None or refusal.value == value
    assert refusal.remedy


async def test_a_paper_must_be_whole_for_those_too_who_read_it_themselves(
    decoders: Decoders,
) -> None:
    refusal = await refused(decoders, chat(chat_file(base64(locked_pdf()))), READS)
    assert refusal.value == "encrypted"


async def test_an_ordinary_picture_passes_byte_for_byte(decoders: Decoders) -> None:
    document, parse = chat(shown(picture()))
    prompt = parse(json.dumps(document).encode())
    serving = [Deployment("d", "m", Scripted(says(), abilities=SEES), "us", 0)]  # type: ignore[arg-type]  # no count
    files = Files(decoders, lambda _, __: serving, bytes_max=10**7)
    assert await files.fit(prompt, CALLER, parse, Leaving()) is prompt
    assert decoders.started == 1  # and was decoded all the same


async def test_a_picture_is_made_what_every_deployment_that_sees_takes(decoders: Decoders) -> None:
    webp = chat(shown(picture(form="WEBP"), "image/webp"))
    takes = Abilities(frozenset({"image"}), None, 1, SEES.image_types | {"image/webp"})
    kept = parts_of(await fitted(decoders, webp, takes, Abilities(BLIND, None, 1)))[0]
    assert kept.url.startswith("data:image/webp;")
    made = parts_of(await fitted(decoders, webp, takes, SEES))[0]
    assert made.url.startswith("data:image/jpeg;")
    assert made.detail == "low"


async def test_an_engines_own_bound_of_pixels(decoders: Decoders) -> None:
    small = Abilities(frozenset({"image"}), None, 1, image_pixels_max=300)
    prompt = await fitted(decoders, chat(shown(picture(size=(40, 30)))), SEES, small)
    data = b64decode(parts_of(prompt)[0].url.partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (20, 15)
    assert any("image_url" in each and "mapped" in each for each in prompt.warnings)


async def test_a_picture_is_called_what_it_is(decoders: Decoders) -> None:
    prompt = await fitted(decoders, chat(shown(picture(form="JPEG"), "image/png")), SEES)
    assert parts_of(prompt)[0].url.startswith("data:image/jpeg;")


async def test_a_picture_sent_as_a_file_is_shown(decoders: Decoders) -> None:
    file = chat_file(f"data:image/png;base64,{base64(picture())}", "a.png")
    for abilities in (SEES, READS):
        (part,) = parts_of(await fitted(decoders, chat(file), abilities))
        assert isinstance(part, ImagePart)


async def test_a_strict_key_is_told_what_would_be_lost(decoders: Decoders) -> None:
    for part in (shown(moving(2), "image/gif"), chat_file(PAPER)):
        with pytest.raises(Refusal) as caught:
            await fitted(decoders, chat(part), SEES, compatibility="strict")
        assert caught.value.code == "unsupported_feature"


async def test_too_many_pixels_are_refused_before_any_decoder_is_started(
    decoders: Decoders,
) -> None:
    refusal = await refused(decoders, chat(shown(blank_png(8_000, 8_000))), SEES)
    assert (refusal.status, refusal.code) == (413, "media_too_large")
    assert (refusal.value, refusal.limit) == (64_000_000, 25_000_000)
    assert decoders.started == 0


async def test_a_sound_is_as_long_as_it_says(decoders: Decoders) -> None:
    def sound(data: bytes) -> Any:
        said = {"data": base64(data), "format": "wav"}
        return chat({"type": "input_audio", "input_audio": said})

    assert (await fitted(decoders, sound(wav(2)), SEES)).needs == {"audio"}
    refusal = await refused(decoders, sound(wav(100_000, rate=1)), SEES)
    assert (refusal.code, refusal.value, refusal.limit) == ("media_too_large", 100_000, 3_600)


async def test_what_nobody_could_serve_is_not_looked_into(decoders: Decoders) -> None:
    await fitted(decoders, chat(shown(b"\x89PNG\r\n\x1a\n" + bytes(40))))
    await fitted(decoders, chat(shown(b"\x89PNG\r\n\x1a\n" + bytes(40))), Abilities(BLIND, None, 1))
    assert decoders.started == 0


async def test_a_request_that_grows_too_large_is_refused(decoders: Decoders) -> None:
    with pytest.raises(Refusal) as caught:
        await fitted(decoders, PAPERS["chat"], SHOWS, bytes_max=2_000)
    assert caught.value.code == "media_too_large"
    assert caught.value.limit == 2_000


async def test_a_request_without_files_holds_nothing_to_be_looked_into() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    for document, parse in (
        chat({"type": "text", "text": "file"}),
        responses({"type": "input_text", "text": "input_file"}),
        messages({"type": "document", "source": source}),
        gemini({"text": "inlineData"}),
    ):
        assert not parse(json.dumps(document).encode()).media_characters
