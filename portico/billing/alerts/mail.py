"""An alert as a mail, through the operator's own mail server."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Literal

import msgspec

from portico.billing.alerts.model import Delivery, Outcome
from portico.kit.clock import Clock

Security = Literal["none", "starttls", "tls"]
_TIMEOUT_S = 10.0
NO_SERVER = "mail.host is not set: there is no server to send mail through"


@dataclass(frozen=True, slots=True)
class MailServer:
    """host: "" where there is none.  sender: a mail address.  user: "" sends without logging in."""

    host: str
    port: int
    sender: str
    security: Security = "starttls"
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port})"


class Mails:
    def __init__(self, server: MailServer, clock: Clock) -> None:
        self._server = server
        self._clock = clock

    async def send(self, delivery: Delivery) -> Outcome:
        if not self._server.host:
            return Outcome(False, NO_SERVER)
        try:
            message = self._message(delivery)
        except ValueError as error:  # an address or a subject that would end its line
            return Outcome(False, f"no mail can be made of it: {error}", final=True)
        try:
            await asyncio.to_thread(self._send, message)
        except smtplib.SMTPRecipientsRefused as error:
            return Outcome(False, f"refused: {_said(error)}", final=_is_final(error))
        except (OSError, smtplib.SMTPException) as error:
            return Outcome(False, f"not sent: {error}")
        return Outcome(True, f"taken by {self._server.host}")

    def _message(self, delivery: Delivery) -> EmailMessage:
        body: dict[str, Any] = msgspec.json.decode(delivery.body)
        says = str(body["data"]["says"])
        message = EmailMessage()
        message["From"] = self._server.sender
        message["To"] = delivery.target
        message["Subject"] = f"Portico: {says}"
        message["Date"] = format_datetime(datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC))
        # The same with every attempt: a mail program shows a second copy as the first.
        message["Message-ID"] = f"<{delivery.id}@portico>"
        details = msgspec.json.format(delivery.body, indent=2)
        message.set_content(f"{says}\n\n{details}\n")
        return message

    def _send(self, message: EmailMessage) -> None:
        """Blocking."""
        server = self._server
        kind = smtplib.SMTP_SSL if server.security == "tls" else smtplib.SMTP
        with kind(server.host, server.port, timeout=_TIMEOUT_S) as session:
            if server.security == "starttls":
                session.starttls(context=ssl.create_default_context())
            if server.user:
                session.login(server.user, server.password)
            session.send_message(message)


def _said(error: smtplib.SMTPRecipientsRefused) -> str:
    return "; ".join(f"{code} {text!r}" for code, text in error.recipients.values())


def _is_final(error: smtplib.SMTPRecipientsRefused) -> bool:
    """5xx: there is no such mailbox."""
    return all(code >= 500 for code, _ in error.recipients.values())
