"""Letters by a real mail server: encrypted and signed in; and what a refusal says of the secrets: nothing."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from asyncio.base_events import Server as Listening
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from octo_dagster.config import Project
from octo_dagster.ops import alerts
from octo_dagster.ops.rules import Fact

NOW = datetime.fromisoformat("2026-11-22 12:00")
PASSWORD = "correct horse"
FIRES = Fact("failed", "job nightly", True, "job_failed", {"run": "1"})


class Post:
    """Keeps what was handed in, and over what kind of line."""

    def __init__(self) -> None:
        self.got: list[tuple[bool, list[str], str]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.got.append((session.ssl is not None, envelope.rcpt_tos, envelope.content.decode()))
        return "250 taken"


class Server(Controller):
    """A mail server on a port of its own choosing."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, Listening)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


def known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    """Only who has the password signs in."""
    good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=good)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = made.add_extension(here, critical=False).sign(key, hashes.SHA256())
    (folder / "mail.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    told = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "mail.key").write_bytes(key.private_bytes(*told))
    return folder / "mail.pem", folder / "mail.key"


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Post, int]]:
    """A mail server that takes nothing without STARTTLS and a login, and its port."""
    pem, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    kept = Post()
    said: dict[str, Any] = {
        "tls_context": context,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": known,
    }
    controller = Server(kept, hostname="127.0.0.1", port=0, **said)
    controller.start()
    yield kept, controller.port
    controller.stop()


def project(folder: Path, port: int) -> Project:
    """A project whose alerts go by mail."""
    (folder / "assets").mkdir()
    mail = {
        "type": "email",
        "host": "127.0.0.1",
        "port": port,
        "user": "octo",
        "password": {"env": "SMTP_PASSWORD"},
    }
    people = {"from": "octo@example.com", "to": ["ops@example.com", "crm@example.com"]}
    (folder / "assets" / "alerts.yaml").write_text(yaml.safe_dump({"channels": {"mail": mail | people}}))
    return Project(folder, folder / ".octo")


def test_a_letter_is_signed_in_and_encrypted(tmp_path: Path, post: tuple[Post, int]) -> None:
    """Both people get it over the encrypted line, in words, once."""
    kept, port = post
    made = project(tmp_path, port)
    assert alerts.watch(made, NOW, [FIRES]).sent == 1
    assert alerts.watch(made, NOW, [FIRES]).sent == 0
    ((encrypted, people, letter),) = kept.got
    assert encrypted
    assert people == ["ops@example.com", "crm@example.com"]
    assert "Subject: Alert: job nightly: failed" in letter
    assert "Date: Sun, 22 Nov 2026 12:00:00 +0000" in letter
    assert "run 1 failed" in letter


def test_a_refused_login_tells_no_secret_and_loses_nothing(
    tmp_path: Path, post: tuple[Post, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a wrong password the letter waits; neither what is told, nor what is kept, nor any log line has the
    password; with the right one the letter goes."""
    caplog.set_level(logging.DEBUG)
    kept, port = post
    made = project(tmp_path, port)
    monkeypatch.setenv("SMTP_PASSWORD", "wrong battery")
    told = alerts.watch(made, NOW, [FIRES])
    assert (told.sent, told.waiting, told.troubles) == (0, 1, ("mail: SMTPAuthenticationError (535)",))
    base64 = "d3JvbmcgYmF0dGVyeQ"
    seen = f"{told} {alerts.listed(made.ledger)} {caplog.text}"
    assert not [secret for secret in ("wrong battery", base64) if secret in seen]
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    assert alerts.watch(made, NOW, [FIRES]).sent == 1
    assert len(kept.got) == 1


def test_a_server_nobody_vouches_for_gets_no_password(
    tmp_path: Path, post: tuple[Post, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of no known authority is refused before anything is said, in words that help."""
    kept, port = post
    monkeypatch.delenv("SSL_CERT_FILE")
    told = alerts.watch(project(tmp_path, port), NOW, [FIRES])
    assert told.troubles == ("mail: SSLCertVerificationError: self-signed certificate",)
    assert kept.got == []
