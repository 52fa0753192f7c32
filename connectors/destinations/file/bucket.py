"""A bucket of S3, or of storage that speaks as S3 does (R2, MinIO, Scaleway, OVH): SigV4, path style.

A PUT is whole or not at all. It says which version it replaces (`If-Match`, `If-None-Match: *`; AWS,
"Conditional writes"), so that of two writers the second is told, and one that arrives late undoes nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from pydantic import Field, field_validator

from connectors.destinations.file.places import Held, Place, To, part
from octo_dagster.destination import Secret
from octo_dagster.errors import Fatal, Retryable


class ToBucket(To):
    """`{bucket: exports, region: eu-west-3, access_key: {env: NAME}, secret_key: {env: NAME}}`."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]$")
    region: str = Field(min_length=1)
    access_key: Secret
    secret_key: Secret
    session_token: Secret | None = None
    endpoint: str | None = None
    """`https://…` of another vendor than AWS."""
    folder: str = ""

    @field_validator("endpoint")
    @classmethod
    def origin(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme != "https" or value.count("/") != 2):
            raise ValueError("must be https://host, without a path")
        return value

    @property
    def host(self) -> str:
        return self.endpoint or f"https://s3.{self.region}.amazonaws.com"

    @property
    def account(self) -> str:
        return f"{self.host}/{self.bucket}/{self.folder.strip('/')}"

    def leads(self) -> Mapping[str, str]:
        return {self.host: "file"}

    def open(self, http: requests.Session) -> Place:
        return Bucket(self, http)

    def place(self, http: requests.Session) -> Place:
        return self.open(http)  # the sandbox has buckets

    def credentials(self) -> Credentials:
        token = self.session_token.reveal() if self.session_token else None
        return Credentials(self.access_key.reveal(), self.secret_key.reveal(), token)


@dataclass(frozen=True, slots=True)
class Bucket(Place):
    """The bucket's objects below one folder."""

    to: ToBucket
    http: requests.Session

    def mark(self, name: str) -> str | None:
        reply = self.call("HEAD", name)
        return None if reply.status_code == 404 else reply.headers["ETag"]

    def get(self, name: str) -> Held | None:
        reply = self.call("GET", name)
        return None if reply.status_code == 404 else (reply.content, reply.headers["ETag"])

    def put(self, name: str, content: bytes, mark: str | None) -> None:
        condition = {"If-None-Match": "*"} if mark is None else {"If-Match": mark}
        if self.call("PUT", name, content, condition).status_code == 404:
            raise Retryable(f"file: {name} was taken away in this moment")

    def stage(self, name: str, content: bytes) -> None:
        self.call("PUT", part(name), content)

    def publish(self, name: str) -> None:
        """A copy, then the staged object goes: S3 has no renaming. Where it is gone, all was done before."""
        if self.mark(part(name)) is None:
            return
        source = {"x-amz-copy-source": quote(f"/{self.to.bucket}/{self.path(part(name))}")}
        reply = self.call("PUT", name, b"", source)
        if b"<Error>" in reply.content:  # a copy may fail after 200 was said (AWS, CopyObject)
            raise Fatal(f"file: the copy failed: {reply.text[:300]}")
        self.call("DELETE", part(name))

    def path(self, name: str) -> str:
        return "/".join(filter(None, [self.to.folder.strip("/"), name]))

    def call(
        self, method: str, name: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """One signed request. Its MD5 goes along, so that S3 refuses what was damaged on the way."""
        url = f"{self.to.host}/{self.to.bucket}/{quote(self.path(name), safe='/~')}"
        told = {"Host": urlsplit(url).netloc, **(headers or {})}
        if method == "PUT":
            told["Content-MD5"] = base64.b64encode(
                hashlib.md5(content, usedforsecurity=False).digest()
            ).decode()
        signed = AWSRequest(method, url, data=content, headers=told)
        S3SigV4Auth(self.to.credentials(), "s3", self.to.region).add_auth(signed)
        request = requests.Request(method, url, data=content or None, headers=dict(signed.headers.items()))
        return self.http.send(self.http.prepare_request(request), allow_redirects=False)
