"""Files that stand in a request, made what its model's engines take: before it is routed, so that
what is set aside, counted and passed through is what an engine gets.

Every picture is decoded once, in a process of its own (`portico.media`), whether or not it has to
be changed: what breaks a decoder must not reach an engine.  PDF files become text and pictures of
their pages where no engine of the model reads them itself; files of text become text.
"""

from base64 import b64decode
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.canon.conversation import ImagePart, TextPart
from portico.canon.prompt import Prompt
from portico.dialects import files, links, pixels
from portico.dialects.body import json_object, without_bom
from portico.dialects.diagnosis import brief, shown
from portico.dialects.files import Inline, Made
from portico.dialects.losses import Losses
from portico.kit.leaving import Leaving, Left
from portico.media.model import Kept, Pages, Paper, Picture, Refused
from portico.media.model import Made as PictureMade
from portico.media.rules import refusal
from portico.media.service import Decoders
from portico.pricing.media import IMAGE_TOKENS_MIN
from portico.routing.model import Deployment

PDF = "application/pdf"
_TEXTS = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/x-ndjson",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
    }
)
_UNSAID = frozenset({"", "application/octet-stream"})
_HEAD_CHARACTERS = 64
_NAME_CHARACTERS = 100

Serving = Callable[[Caller, str], Sequence[Deployment]]
"""Whoever may serve a model to a caller; () where nobody."""
Parse = Callable[[bytes], Prompt]


@dataclass(frozen=True, slots=True)
class Target:
    """What the engines of one model can do with files.

    sees: pictures.  reads: PDF files, as they are.  shows: pages of PDF files are pictures to it.
    images: media types that each of those that see takes; pixels_max: of one, None for any.
    """

    sees: bool
    reads: bool
    shows: bool
    images: frozenset[str]
    pixels_max: int | None


class Files:
    """page_images_for: models that see, though their engines do not say so by themselves.
    bytes_max: of a request, once its files are text and pictures."""

    def __init__(
        self,
        decoders: Decoders,
        serving: Serving,
        *,
        bytes_max: int,
        page_images_for: Collection[str] = (),
    ) -> None:
        self._decoders = decoders
        self._serving = serving
        self._bytes_max = bytes_max
        self._page_images_for = frozenset(page_images_for)

    async def fit(self, prompt: Prompt, caller: Caller, parse: Parse, leaving: Leaving) -> Prompt:
        """`prompt`, which holds files; read anew where one of them had to be changed.

        Raises: Refusal: invalid_media, media_too_large, overloaded; unsupported_feature, where the
        key is strict; Left.
        """
        target = self._target(prompt, caller)
        if target is None or ("image" in prompt.needs and not target.sees):
            return prompt  # routing says what is wrong with that
        document = json_object(without_bom(prompt.body))
        losses = Losses(prompt.compatibility)
        fitting = _Fitting(target, self._decoders, caller.organisation_id, losses)
        with leaving:
            for file in files.files_in(document):
                await fitting.take(file)
            files.replace(fitting.replaced)
            return self._fitted(prompt, document, fitting, parse)
        raise Left(leaving.reason)

    async def close(self) -> None:
        """Returns when no decoder is left."""
        await self._decoders.close()

    def _target(self, prompt: Prompt, caller: Caller) -> Target | None:
        """None: nobody serves it."""
        serving = self._serving(caller, prompt.model)
        shows = prompt.model in self._page_images_for
        return target_of(serving, shows=shows) if serving else None

    def _fitted(
        self, prompt: Prompt, document: files.Object, fitting: "_Fitting", parse: Parse
    ) -> Prompt:
        if fitting.changed:
            body = msgspec.json.encode(document)
            if len(body) > self._bytes_max:
                raise errors.MEDIA_TOO_LARGE(
                    f"The request has {len(body)} bytes once its files are text and images that "
                    f"the model takes; it may have at most {self._bytes_max}.",
                    value=len(body),
                    limit=self._bytes_max,
                    remedy="Send fewer pages, or smaller images.",
                )
            fitted = parse(body)
            fitted.compatibility = prompt.compatibility
            fitted.warnings += prompt.warnings
            prompt = fitted
        fitting.losses.tell(prompt)
        if fitting.read_by_engine:
            prompt.file_tokens_max = fitting.file_tokens_max
        return prompt


def target_of(serving: Iterable[Deployment], *, shows: bool) -> Target:
    """shows: also where no engine says so."""
    abilities = [each.engine.abilities for each in serving]
    seeing = [each for each in abilities if "image" in each.features]
    bounds = [each.image_pixels_max for each in seeing if each.image_pixels_max is not None]
    images = [each.image_types for each in seeing]
    return Target(
        sees=bool(seeing),
        reads=any("file" in each.features for each in abilities),
        shows=bool(seeing) and (shows or any(each.sees_pages for each in seeing)),
        images=frozenset.intersection(*images) if images else frozenset(),
        pixels_max=min(bounds, default=None),
    )


class _Fitting:
    """One request's files, one after the other.

    replaced: files that parts stand for.  changed: the document is another than it was.
    read_by_engine: a file goes to the engine as it is, and comes to at most `file_tokens_max`.
    """

    def __init__(self, target: Target, decoders: Decoders, owner: str, losses: Losses) -> None:
        self.losses = losses
        self.replaced: list[tuple[Inline, Sequence[Made]]] = []
        self.changed = False
        self.read_by_engine = False
        self.file_tokens_max = 0
        self._target = target
        self._decoders = decoders
        self._owner = owner
        self._limits = decoders.limits

    async def take(self, file: Inline) -> None:
        """Raises: Refusal."""
        if file.kind == "audio":
            self._hear(file)
            return
        found = links.media_type(b64decode(file.data[:_HEAD_CHARACTERS]))
        if found.startswith("image/"):
            await self._see(file, found)
        elif file.kind == "image":
            raise refusal(file.path, Refused("broken"))
        elif found == PDF or file.media_type == PDF:
            await self._read(file)
        else:
            self._say(file)

    def _hear(self, file: Inline) -> None:
        """A sound of few bytes may say that it is days long, and is that once it is unpacked."""
        size_bytes = len(file.data) * 3 // 4
        seconds = pixels.sound_seconds(pixels.base64_reader(file.data), size_bytes)
        limit = self._limits.sound_s_max
        if seconds is not None and seconds > limit:
            raise errors.MEDIA_TOO_LARGE(
                f"{file.path!r} lasts {seconds:.0f} s, by its header; at most {limit} s are taken.",
                field=file.path,
                value=round(seconds),
                limit=limit,
                remedy="Send a shorter one, or correct its header.",
            )

    async def _see(self, file: Inline, found: str) -> None:
        size = pixels.image_size(pixels.base64_reader(file.data))
        most = self._limits.pixels_max
        if size is not None and size[0] * size[1] > most:
            raise refusal(file.path, Refused("pixels", size[0] * size[1], most))
        sent_max = min(self._limits.pixels_sent_max, self._target.pixels_max or most)
        said = await self._decoders.ask(
            Picture(file.data, tuple(sorted(self._target.images)), most, sent_max), self._owner
        )
        match said:
            case PictureMade(media_type=media_type, data=data):
                if said.still:
                    self.losses.map(file.path, "it moves; only its first picture can be sent")
                if said.shrunk:
                    self.losses.map(file.path, f"it has more than {sent_max} pixels")
                self._put(file, media_type, data)
            case Kept():
                if file.kind != "image" or file.media_type != found:
                    self._put(file, found, file.data)
            case Refused():
                raise refusal(file.path, said)
            case _:
                raise refusal(file.path, Refused("crashed"))

    def _put(self, file: Inline, media_type: str, data: str) -> None:
        self.changed = True
        if file.kind == "image":
            file.put(media_type, data)
        else:
            image = ImagePart(f"data:{media_type};base64,{data}")
            self.replaced.append((file, [image]))

    async def _read(self, file: Inline) -> None:
        """A PDF file.  Also one that the engine reads itself is opened: it must be whole, and what
        it comes to is known only then."""
        limits, target = self._limits, self._target
        images_max = limits.images_max if target.shows and not target.reads else 0
        said = await self._decoders.ask(
            Paper(
                file.data,
                limits.pages_max,
                limits.characters_max,
                images_max,
                limits.page_pixels_max,
            ),
            self._owner,
        )
        if isinstance(said, Refused):
            raise refusal(file.path, said)
        if not isinstance(said, Pages):
            raise refusal(file.path, Refused("crashed"))
        if target.reads:
            self._count(len(said.pages) * IMAGE_TOKENS_MIN, (page.text for page in said.pages))
            return
        if not any(page.text or page.image for page in said.pages):
            raise errors.INVALID_MEDIA(
                f"{file.path!r} holds no text, only images, and this model is not shown pages.",
                field=file.path,
                value="no text",
                remedy="Send its text, or choose a model that sees images.",
            )
        self.losses.map(file.path, "its pages are sent as text, and as images if the model sees")
        self._write(file, _parts_of(file, said))

    def _say(self, file: Inline) -> None:
        """A file of text; or one that only its engine may know."""
        text = _text_of(file)
        if text is not None:
            self._write(file, [TextPart(f"[{_name_of(file)}]\n{text}")])
        elif self._target.reads:
            self._count(len(file.data), ())
        else:
            kind = file.media_type or "of an unknown type"
            raise errors.INVALID_MEDIA(
                f"{file.path!r} is {shown(kind)}, which this model's engine does not read.",
                field=file.path,
                value=brief(kind),
                limit="PDF, or text in UTF-8",
                remedy="Send it as PDF, or as text in UTF-8.",
            )

    def _write(self, file: Inline, parts: list[Made]) -> None:
        if file.cited:
            self.losses.drop(f"{file.path}.citations", "answers cannot cite text")
        about = [TextPart(file.about)] if file.about else []
        self.replaced.append((file, [*about, *parts]))
        self.changed = True

    def _count(self, tokens: int, texts: Iterable[str]) -> None:
        self.read_by_engine = True
        self.file_tokens_max += tokens + sum(len(text.encode()) for text in texts)


def _parts_of(file: Inline, said: Pages) -> list[Made]:
    """The same for the same file, always: an engine may have read its beginning before."""
    name, count = _name_of(file), len(said.pages)
    parts: list[Made] = []
    for number, page in enumerate(said.pages, 1):
        text = page.text or "(no text)"
        parts.append(TextPart(f"[{name}, page {number} of {count}]\n{text}"))
        if page.image:
            parts.append(ImagePart(f"data:image/jpeg;base64,{page.image}"))
    return parts


def _name_of(file: Inline) -> str:
    """On one line and within its brackets."""
    plain = "".join(each for each in file.name if each.isprintable() and each not in "[]")
    return plain[:_NAME_CHARACTERS].strip() or "file"


def _text_of(file: Inline) -> str | None:
    """None where it is none, and nobody said it was.  Raises: Refusal."""
    kind = file.media_type
    said = kind.startswith("text/") or kind in _TEXTS or kind.endswith(("+json", "+xml"))
    if not said and kind not in _UNSAID:
        return None
    data = b64decode(file.data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if not said:
            return None
        raise errors.INVALID_MEDIA(
            f"{file.path!r} is not text in UTF-8: {error.reason} at byte {error.start}.",
            field=file.path,
            value=data[error.start : error.start + 8].hex(),
            limit="UTF-8",
        ) from None
    return None if "\0" in text and not said else text
