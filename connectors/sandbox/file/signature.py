"""AWS Signature Version 4, checked as S3 checks it (AWS, "Authenticating Requests: Using the Authorization
Header"), after the document and its examples, not after botocore."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

UNSIGNED = ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
SAID = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)"
    r"/aws4_request, ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is signed of a request."""

    method: str
    path: str
    """As it was asked for, each byte but `A-Za-z0-9-._~/` as %XX."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the Authorization header says."""

    key: str
    day: str
    region: str
    service: str
    headers: Sequence[str]
    signature: str

    @classmethod
    def of(cls, header: str) -> Authorization | None:
        """None where the header is no such signature."""
        said = SAID.fullmatch(header)
        if said is None:
            return None
        key, day, region, service, headers, signed = said.groups()
        return cls(key, day, region, service, headers.split(";"), signed)

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def canonical(asked: Asked, signed: Sequence[str]) -> str:
    """The request in the one spelling that is signed."""
    pairs = sorted((quote(k, safe="-._~"), quote(v, safe="-._~")) for k, v in parse_qsl(asked.query, True))
    headers = "".join(f"{name}:{' '.join(asked.headers.get(name, '').split())}\n" for name in signed)
    return "\n".join(
        [
            asked.method,
            quote(asked.path, safe="/-._~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(signed),
            asked.headers.get("x-amz-content-sha256", ""),
        ]
    )


def signature(asked: Asked, told: Authorization, secret: str) -> str:
    """The signature this request should have."""
    digest = hashlib.sha256(canonical(asked, told.headers).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", asked.headers.get("x-amz-date", ""), told.scope, digest])
    key = f"AWS4{secret}".encode()
    for part in (told.day, told.region, told.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
