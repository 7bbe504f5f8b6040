"""Where alerts arrive in tests: a real HTTP server and a real SMTP server, on loopback."""

import asyncio
import hashlib
import hmac
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.kit.listening import listening


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1000

    def wall_ms(self) -> int:
        return self.now_ms


@dataclass
class Post:
    """headers: with names in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes

    def is_signed_with(self, secret: str) -> bool:
        """As a receiver checks it, by the book of Standard Webhooks."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode()
        key = b64decode(secret.removeprefix("whsec_"))
        wanted = hmac.new(key, signed + self.body, hashlib.sha256).digest()
        version, _, given = self.headers["webhook-signature"].partition(",")
        return version == "v1" and hmac.compare_digest(b64decode(given), wanted)


@dataclass
class Hook:
    """answers: bytes sent back, the last one over and over.  on_post: before an answer is sent."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=lambda: [b"HTTP/1.1 204 No Content\r\n\r\n"])
    on_post: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.posts.append(Post(head[0].split(" ")[1], headers, body))
        self.on_post()
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        writer.close()


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    async with listening(made.serve) as port:
        made.url = f"http://127.0.0.1:{port}/alerts?team=1"
        yield made


@dataclass
class Mailbox:
    """refuses: what is said to every recipient instead of taking it.  on_mail: before it is taken."""

    port: int = 0
    mails: list[str] = field(default_factory=list)
    refuses: str = ""
    on_mail: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            word = line.split(b" ")[0].strip().upper().decode()
            if word == "DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(text.decode())
                self.on_mail()
            if word == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            writer.write(f"{self.refuses}\r\n".encode() if word == "RCPT" and self.refuses
                         else b"250 ok\r\n")  # fmt: skip
        writer.close()


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    made = Mailbox()
    async with listening(made.serve) as made.port:
        yield made
