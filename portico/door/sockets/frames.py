"""Frames in, whole messages out, and the other way round.  Does no I/O.

Compression (permessage-deflate) is never agreed on: a stream of small events gains little by it, and
nothing that was sent can unpack to more than came.
"""

import logging

from websockets.frames import BINARY, CONT, CTRL_OPCODES, TEXT, CloseCode, Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

_QUIET = logging.Logger("portico.door.sockets", logging.ERROR)
"""Of no tree: the library has a line for every connection that ends."""
_SMALL_BYTES = 1_024
"""A part of a message that is smaller than this is no part but a nuisance."""
_REASON_BYTES_MAX = 120


class Frames:
    """Of one connection.  One event loop owns this object.

    barren: control frames and small parts of messages that came so far: what costs us much more to
      read than them to send.
    """

    def __init__(self, message_bytes_max: int) -> None:
        self._protocol = ServerProtocol(state=OPEN, max_size=message_bytes_max, logger=_QUIET)
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self.barren = 0

    @property
    def over(self) -> bool:
        """Somebody has begun to close: what comes is thrown away, and nothing more can be said."""
        return self._protocol.state is not OPEN

    @property
    def held_bytes(self) -> int:
        """Of messages that are not whole yet."""
        return self._parts_bytes + len(self._protocol.reader.buffer)

    def take(self, data: bytes) -> list[bytes]:
        """Messages that `data` completes, as UTF-8.  What breaks the protocol, is no text or too
        large, closes."""
        self._protocol.receive_data(data)
        whole = []
        for frame in self._protocol.events_received():
            assert isinstance(frame, Frame)
            message = self._message(frame)
            if message is not None and self._is_text(message):
                whole.append(message)
        if self.over:
            self._parts, self._parts_bytes = [], 0
        return whole

    def text(self, payload: bytes) -> None:
        """Say `payload`, which is UTF-8.  Nothing once it is over."""
        if not self.over:
            self._protocol.send_text(payload)

    def ping(self) -> None:
        if not self.over:
            self._protocol.send_ping(b"")

    def close(self, code: int, reason: str) -> None:
        """Say why nothing follows.  Nothing once it is over."""
        if not self.over:
            self._protocol.fail(code, reason[:_REASON_BYTES_MAX])

    def said(self) -> bytes:
        """What is to be written, once."""
        return b"".join(self._protocol.data_to_send())

    def _message(self, frame: Frame) -> bytes | None:
        if frame.opcode in CTRL_OPCODES:
            self.barren += 1
            return None
        if frame.opcode is BINARY:
            self.close(CloseCode.UNSUPPORTED_DATA, "messages are JSON, as text")
        if self.over:
            return None
        if frame.fin and frame.opcode is TEXT:
            return bytes(frame.data)
        self.barren += len(frame.data) < _SMALL_BYTES
        self._parts.append(bytes(frame.data))
        self._parts_bytes += len(frame.data)
        if not frame.fin:
            return None
        assert frame.opcode is CONT
        parts, self._parts, self._parts_bytes = self._parts, [], 0
        return b"".join(parts)

    def _is_text(self, message: bytes) -> bool:
        try:
            message.decode()
        except UnicodeDecodeError as error:
            self.close(CloseCode.INVALID_DATA, f"no UTF-8 at byte {error.start}")
            return False
        return True
