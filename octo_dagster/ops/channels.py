"""Whom alerts are told to: a Slack webhook, people by email, any address by a signed POST."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Annotated, Literal

import requests
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from octo_dagster.destination import Secret
from octo_dagster.errors import OctoError
from octo_dagster.words import Language, Speaker

SECONDS = 10.0
"""How long a channel may take to answer. What it did not take is told again."""


class Untold(OctoError):
    """A channel did not take a letter; it goes again. Says nothing of addresses, which may be secret."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing to tell. Holds counts and names of files, nothing of a customer."""

    id: str
    """The same for every try: who got it twice knows it by this."""
    rule: str
    subject: str
    state: str
    """firing, still firing, ok; test, of a channel somebody tries."""
    what: str
    """In words, in the project's language."""
    at: datetime
    link: str | None = None
    language: Language = "en"

    @property
    def title(self) -> str:
        kind, _, name = self.subject.partition(" ")
        say = Speaker(self.language).say
        words = {"state": self.state, "kind": kind, "rule": self.rule}
        return say("alert.title", name=name, **{of: say(f"alert.{of}.{word}") for of, word in words.items()})

    @property
    def text(self) -> str:
        """All of it, as a person reads it."""
        lines = [self.title, self.what, f"{self.at:%Y-%m-%d %H:%M} UTC", self.link or ""]
        return "\n".join(line for line in lines if line)


class Channel(BaseModel, ABC):
    """One entry of `channels` in `assets/alerts.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def tell(self, letter: Letter) -> None:
        """Hand the letter over; when this returns, it was taken. Untold when it was not, or nobody knows."""


class Slack(Channel):
    """An incoming webhook of Slack, or of what speaks like it (Mattermost, Rocket.Chat)."""

    type: Literal["slack"]
    url: Secret

    def tell(self, letter: Letter) -> None:
        text = letter.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        post(self.url.reveal(), json.dumps({"text": text}).encode(), {})


class Webhook(Channel):
    """Any address: the letter as JSON, signed as the webhook destination signs."""

    type: Literal["webhook"]
    url: HttpUrl
    secret: Secret

    def tell(self, letter: Letter) -> None:
        body = json.dumps(asdict(letter) | {"at": letter.at.isoformat()}).encode()
        at = str(int(time.time()))
        signed = hmac.new(self.secret.reveal().encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        post(str(self.url), body, {"Octo-Signature": f"t={at},v1={signed}", "Idempotency-Key": letter.id})


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        reply = requests.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=SECONDS,
            allow_redirects=False,
        )
    except (requests.RequestException, ValueError) as wrong:
        raise Untold(type(wrong).__name__) from None
    if not reply.ok or reply.is_redirect:
        raise Untold(f"answered {reply.status_code}")


class Email(Channel):
    """People, through a server of yours. `tls`: `start` (587), `yes` from the first byte (465), `no`.

    Its certificate must be good, or of the authorities in the file that SSL_CERT_FILE names."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    type: Literal["email"]
    host: str
    port: int = 587
    tls: Literal["start", "yes", "no"] = "start"
    user: str | None = None
    password: Secret | None = None
    from_: str = Field(alias="from")
    to: tuple[str, ...] = Field(min_length=1)

    def tell(self, letter: Letter) -> None:
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = letter.title, self.from_, ", ".join(self.to)
        message["Message-ID"], message["Date"] = f"<{letter.id}@octo>", letter.at.replace(tzinfo=UTC)
        message.set_content(letter.text)
        try:
            with self.connected() as server:
                self.hand_over(server, message)
        except (smtplib.SMTPException, OSError, UnicodeError) as wrong:  # a password of other than ASCII
            raise Untold(said(wrong)) from None

    def connected(self) -> smtplib.SMTP:
        if self.tls == "yes":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=SECONDS)

    def hand_over(self, server: smtplib.SMTP, message: EmailMessage) -> None:
        if self.tls == "start":
            server.starttls(context=ssl.create_default_context())
        if self.user and self.password:
            server.login(self.user, self.password.reveal())
        if refused := server.send_message(message):
            raise smtplib.SMTPRecipientsRefused(refused)


def said(wrong: Exception) -> str:
    """Why a letter was not taken, for whoever mends it. The server's own words are left out: they may quote
    the name that signs in, or an address."""
    name = type(wrong).__name__
    if isinstance(wrong, smtplib.SMTPResponseException):
        return f"{name} ({wrong.smtp_code})"
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return f"{name}: {wrong.verify_message}"
    return name


AnyChannel = Annotated[Slack | Webhook | Email, Field(discriminator="type")]
