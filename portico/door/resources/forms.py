"""multipart/form-data, read as it comes: fields are kept, the file goes on at once."""

import logging
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from portico import errors
from portico.dialects.diagnosis import brief, shown

# It quotes what is not well-formed, and that is nobody's business but the sender's.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
OVERHEAD_BYTES_MAX = 262_144
"""Of a form, besides its file."""
_FIELD_BYTES_MAX = 65_536
_PARTS_MAX = 32
_HEADERS_MAX = 8
_HEADER_BYTES_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Begun:
    """The file begins; `Form.fields` holds what came before it.  media_type: "" where none is said."""

    filename: str
    media_type: str


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    value: bytearray = field(default_factory=bytearray)


class Form:
    """file: what the field is called that holds the file.  fields: the others, each the last one of
    its name.  found: has the file come?"""

    def __init__(self, content_type: bytes, file: str) -> None:
        """Raises: Refusal: invalid_form: another kind of body."""
        kind, said = parse_options_header(content_type.decode("latin-1"))
        boundary = said.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            sent = content_type.decode("latin-1")
            raise _invalid(
                f"'Content-Type' is {shown(sent)}; it must be multipart/form-data with a boundary.",
                "Content-Type",
                sent,
                "multipart/form-data; boundary=...",
            )
        self.fields: dict[str, str] = {}
        self.found = False
        self._file = file
        self._whole = False
        self._events: list[Begun | bytes] = []
        self._parts = 0
        self._part = _Part()
        self._name, self._value = bytearray(), bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._know,
                    "on_part_data": self._add,
                    "on_part_end": self._end,
                    "on_end": self._finish,
                },
                max_header_count=_HEADERS_MAX,
                max_header_size=_HEADER_BYTES_MAX,
            )
        except FormParserError as error:
            raise _invalid(f"The boundary of the form cannot be used: {error}.") from None

    def feed(self, data: bytes) -> list[Begun | bytes]:
        """What of the file is in `data`, in order.  Raises: Refusal: invalid_form."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _invalid(f"The form is not well-formed: {error}.") from None
        events, self._events = self._events, []
        return events

    def end(self) -> None:
        """Nothing more comes.  Raises: Refusal: invalid_form, missing_field."""
        if not self._whole:
            raise _invalid("The form ends before its last boundary.")
        if not self.found:
            raise errors.MISSING_FIELD(
                f"'{self._file}' is missing: the form has no file of that name.",
                field=self._file,
                limit="required",
            )

    # -- the parser's side -------------------------------------------------------------------

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _PARTS_MAX:
            raise _invalid(
                f"The form has more than {_PARTS_MAX} parts.", value=self._parts, limit=_PARTS_MAX
            )
        self._part = _Part()

    def _begin_header(self) -> None:
        self._name, self._value = bytearray(), bytearray()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._part.headers[bytes(self._name).lower()] = bytes(self._value)

    def _know(self) -> None:
        """Everything there is to know of a part before its bytes."""
        part = self._part
        # Read as Latin-1, which loses nothing; browsers and SDKs write UTF-8.
        disposition = part.headers.get(b"content-disposition", b"").decode("latin-1")
        _, said = parse_options_header(disposition)
        name = said.get(b"name")
        if name is None:
            raise _invalid("A part of the form has no name.")
        part.name = name.decode("utf-8", "replace")
        if part.name != self._file:
            return
        if self.found:
            raise _invalid(f"'{self._file}' stands in the form twice.", self._file, 2, 1)
        self.found = part.is_file = True
        kind = part.headers.get(b"content-type", b"").decode("latin-1")
        self._events.append(Begun(said.get(b"filename", b"").decode("utf-8", "replace"), kind))

    def _add(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.is_file:
            self._events.append(data[start:end])
            return
        part.value += data[start:end]
        if len(part.value) > _FIELD_BYTES_MAX:
            raise _invalid(
                f"The field {shown(part.name)} has more than {_FIELD_BYTES_MAX} bytes.",
                brief(part.name),
                len(part.value),
                _FIELD_BYTES_MAX,
            )

    def _end(self) -> None:
        part = self._part
        if part.is_file:
            return
        try:
            self.fields[part.name] = part.value.decode()
        except UnicodeDecodeError:
            raise _invalid(
                f"The field {shown(part.name)} is not text in UTF-8.",
                brief(part.name),
                limit="UTF-8",
            ) from None

    def _finish(self) -> None:
        self._whole = True


def _invalid(
    says: str, field: str | None = None, value: object = None, limit: object = None
) -> errors.Refusal:
    return errors.INVALID_FORM(says, field=field, value=brief(value), limit=limit)
