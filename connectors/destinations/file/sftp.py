"""A folder on an SFTP server, through paramiko. The server's key is pinned: none is trusted by itself.

What breaks before the renaming left the file as it was (`Retryable`); what breaks at the renaming may have
done it (`Unanswered`).
"""

from __future__ import annotations

import io
import math
import posixpath
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

import paramiko
import requests
from paramiko.hostkeys import HostKeyEntry
from pydantic import Field, field_validator, model_validator

from connectors.destinations.file.places import PRIVATE, Held, Place, To, part, patience
from octo_dagster.destination import Secret
from octo_dagster.errors import DeliveryError, Fatal, Retryable, Unanswered

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 120.0

BROKEN = (paramiko.SSHException, EOFError, OSError)
"""How paramiko says that the connection is gone, or that the server will not."""


class ToSftp(To):
    """`{sftp: files.example.com, user: octo, key: {env: NAME}, host_key: ssh-ed25519 AAAA…, folder: in}`."""

    sftp: str = Field(min_length=1)
    port: int = Field(default=22, ge=1, le=65535)
    user: str
    password: Secret | None = None
    key: Secret | None = None
    """A private key: the whole text of its file, without a passphrase."""
    host_key: str
    """The server's public key, as `ssh-keyscan` shows it and its owner confirms it: `ssh-ed25519 AAAA…`."""
    folder: str = "."

    @field_validator("host_key")
    @classmethod
    def a_key(cls, value: str) -> str:
        public(value)
        return value

    @model_validator(mode="after")
    def one_way_in(self) -> ToSftp:
        if (self.password is None) == (self.key is None):
            raise ValueError("give one of password, key")
        return self

    @property
    def account(self) -> str:
        return f"sftp://{self.user}@{self.sftp}:{self.port}/{self.folder}"

    def open(self, http: requests.Session) -> Place:
        return Server(self)


def public(line: str) -> paramiko.PKey:
    """The key a line of known_hosts names, with the host's name or without."""
    words = line.split()
    kind = next((word for word in words if word.startswith(("ssh-", "ecdsa-"))), "")
    blob = words[words.index(kind) + 1 :][:1] if kind else []
    try:
        entry = HostKeyEntry.from_line(" ".join(["host", kind, *blob]))
    except paramiko.SSHException:
        entry = None
    if entry is None or entry.key is None:
        raise ValueError("is no public key; it looks like: ssh-ed25519 AAAAC3…")
    key: paramiko.PKey = entry.key
    return key


Client: TypeAlias = paramiko.SFTPClient


@dataclass(frozen=True, slots=True)
class Server(Place):
    """The folder. Each verb is a connection of its own: there are few, and none is left open."""

    to: ToSftp

    def mark(self, name: str) -> str | None:
        with self.client() as client, before("read"):
            return marked(client, self.path(name))

    def get(self, name: str) -> Held | None:
        with self.client() as client, before("read"):
            mark = marked(client, self.path(name))
            if mark is None:
                return None
            with client.open(self.path(name), "rb") as file:
                file.prefetch()
                return file.read(), mark

    def put(self, name: str, content: bytes, mark: str | None) -> None:
        temporary = self.path(part(f"{name}.{secrets.token_hex(4)}"))
        with self.client() as client:
            with before("write"):
                sweep(client, self.to.folder, name)
                permissions = PRIVATE if mark is None else client.stat(self.path(name)).st_mode or PRIVATE
                self.write(client, temporary, content, permissions & 0o777)
                if marked(client, self.path(name)) != mark:
                    client.remove(temporary)
                    raise Retryable(f"file: {name} was written to by somebody else in this moment")
            with renaming(name):
                client.posix_rename(temporary, self.path(name))

    def stage(self, name: str, content: bytes) -> None:
        with self.client() as client, before("write"):
            sweep(client, self.to.folder, name)
            self.write(client, self.path(part(name)), content, PRIVATE)

    def publish(self, name: str) -> None:
        with self.client() as client, renaming(name):
            client.stat(self.to.folder)
            try:
                client.stat(self.path(part(name)))
            except FileNotFoundError:
                return
            client.rename(self.path(part(name)), self.path(name))

    def write(self, client: Client, path: str, content: bytes, permissions: int) -> None:
        """Upload whole; the server's size is compared with ours at the end."""
        with client.open(path, "wb") as file:
            file.chmod(permissions)
        client.putfo(io.BytesIO(content), path, confirm=True)

    def path(self, name: str) -> str:
        return posixpath.join(self.to.folder, name)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Signed in, at the server whose key is pinned."""
        with closing(self.transport()) as transport:
            try:
                self.sign_in(transport)
                client = paramiko.SFTPClient.from_transport(transport)
            except paramiko.AuthenticationException as error:
                raise Fatal(f"file: {self.to.sftp} refuses {self.to.user}: {error}") from error
            except BROKEN as error:
                raise Retryable(f"file: {self.to.sftp}: {error}") from error
            if client is None:
                raise Retryable(f"file: {self.to.sftp} opened no SFTP session")
            client.get_channel().settimeout(ANSWER_SECONDS)
            yield client

    def transport(self) -> paramiko.Transport:
        """A connection on which keys have been exchanged. Fatal when it is another server's key."""
        try:
            connection = socket.create_connection((self.to.sftp, self.to.port), CONNECT_SECONDS)
            transport = paramiko.Transport(connection)
        except BROKEN as error:
            raise Retryable(f"file: cannot connect to {self.to.sftp}: {error}") from error
        try:
            pinned = public(self.to.host_key)
            transport.get_security_options().key_types = algorithms(pinned)
            transport.start_client(timeout=CONNECT_SECONDS)
        except paramiko.ssh_exception.IncompatiblePeer as error:
            transport.close()
            raise Fatal(f"file: {self.to.sftp} has another key than host_key says: {error}") from error
        except BROKEN as error:
            transport.close()
            raise Retryable(f"file: {self.to.sftp}: {error}") from error
        if transport.get_remote_server_key() != pinned:
            transport.close()
            raise Fatal(f"file: {self.to.sftp} has another key than host_key says: it may be another server")
        return transport

    def sign_in(self, transport: paramiko.Transport) -> None:
        if self.to.password is not None:
            transport.auth_password(self.to.user, self.to.password.reveal())
        elif self.to.key is not None:
            transport.auth_publickey(self.to.user, private(self.to.key.reveal()))


def algorithms(key: paramiko.PKey) -> tuple[str, ...]:
    """The signatures a key can make: an RSA key is asked for with SHA-2 only (RFC 8332)."""
    name = key.get_name()
    return ("rsa-sha2-512", "rsa-sha2-256") if name == "ssh-rsa" else (name,)


def private(text: str) -> paramiko.PKey:
    """A private key from its text, of whichever kind it is."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            key: paramiko.PKey = kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError, IndexError):
            continue
        return key
    raise Fatal("file: the key is no private key without a passphrase (ed25519, ecdsa or rsa)")


def marked(client: Client, path: str) -> str | None:
    """Size and time of change of the server's file."""
    try:
        held = client.stat(path)
    except FileNotFoundError:
        return None
    return f"{held.st_size} {held.st_mtime}"


def sweep(client: Client, folder: str, name: str) -> None:
    """Take away what a delivery that was killed left behind: it holds personal data. A server that shows no
    list, or lets nothing be taken away, keeps it."""
    with suppress(OSError):
        for left in client.listdir_attr(folder):
            if time.time() - (left.st_mtime or math.inf) > patience(name, left.filename):
                client.remove(posixpath.join(folder, left.filename))


@contextmanager
def before(verb: str) -> Iterator[None]:
    """Whatever happens here, the file is as it was."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        raise Fatal(f"file: the server does not let Octo {verb} there: {error.strerror}") from error
    except BROKEN as error:
        raise Retryable(f"file: cannot {verb}: {error or type(error).__name__}") from error


@contextmanager
def renaming(name: str) -> Iterator[None]:
    """What the server refuses it has not done; what it does not answer it may have done."""
    try:
        yield
    except BROKEN as error:
        raise refusal(name, error) from error


def refusal(name: str, error: Exception) -> DeliveryError:
    """A server's own words come as a plain IOError without a number; one of the system's has a number."""
    if isinstance(error, FileNotFoundError | PermissionError) or (
        type(error) is OSError and error.errno is None
    ):
        return Fatal(
            f"file: the server will not rename to {name} ({error}). One file kept equal needs a server that "
            f"renames over a file (posix-rename, which OpenSSH has); `holds: changes` does not"
        )
    return Unanswered(f"file: no answer to renaming to {name}: {error or type(error).__name__}")
