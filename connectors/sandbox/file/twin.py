"""Storage that speaks as S3 does, and folders in the place of real ones.

Key `octo-access`, secret `octo-secret`, region `eu-west-3`, buckets `octo-exports` and `octo-two`. As AWS
documents it: SigV4 on every call, path style, PutObject with `If-Match` and `If-None-Match: *`, CopyObject,
GetObject, HeadObject, DeleteObject, ListObjectsV2, errors in XML. Holdings are the rows of every CSV and
JSON-lines file.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import unquote
from xml.sax.saxutils import escape

from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.wrappers import Request, Response

from connectors.sandbox.file.folders import Folders
from connectors.sandbox.file.signature import UNSIGNED, Asked, Authorization, signature
from connectors.sandbox.twin import Twin, route

ACCESS, SECRET, REGION = "octo-access", "octo-secret", "eu-west-3"
OLDEST_SECONDS = 900
MOST_KEYS = 1_000


@dataclass(frozen=True, slots=True)
class Object:
    """What a bucket holds under one key."""

    content: bytes
    at: float

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'

    @property
    def headers(self) -> dict[str, str]:
        return {"ETag": self.etag, "Last-Modified": http_date(self.at), "Accept-Ranges": "bytes"}


class Files(Twin):
    """Two buckets of one account, and the folders it was asked for."""

    name = "file"
    settings: ClassVar[Mapping[str, str]] = {"name": "customers.csv", "to.folder": "/srv/exports"}
    own_faults = frozenset({"written_meanwhile"})

    def reset(self) -> None:
        self.buckets: dict[str, dict[str, Object]] = {"octo-exports": {}, "octo-two": {}}
        self.folders = Folders()

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        held = {f"{name}/{key}": one.content for name, b in self.buckets.items() for key, one in b.items()}
        return {name: rows(name, content) for name, content in (held | self.folders.files()).items()}

    def authenticate(self, request: Request) -> Response | None:
        """As S3 does; a folder is no bucket and asks for no signature."""
        if request.path.startswith("/_folder/"):
            return None
        told = Authorization.of(request.headers.get("Authorization", ""))
        if told is None:
            return error(403, "AccessDenied", "Access Denied")
        if told.key != ACCESS:
            said = "The AWS Access Key Id you provided does not exist in our records."
            return error(403, "InvalidAccessKeyId", said)
        if (told.region, told.service) != (REGION, "s3"):
            said = f"The authorization header is malformed; the region '{told.region}' is wrong"
            return error(400, "AuthorizationHeaderMalformed", said)
        return self.misdated(request, told) or missigned(request, told) or damaged(request)

    def misdated(self, request: Request, told: Authorization) -> Response | None:
        """A request is good for a quarter of an hour."""
        said = request.headers.get("X-Amz-Date", "")
        try:
            at = datetime.strptime(said, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return error(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
        if abs(at - self.clock()) > OLDEST_SECONDS or not said.startswith(told.day):
            late = "The difference between the request time and the current time is too large."
            return error(403, "RequestTimeTooSkewed", late)
        return None

    def refusal(self, failure: HTTPException) -> Response:
        return error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")

    def throttled(self, wait: float) -> Response:
        return error(503, "SlowDown", "Please reduce your request rate.")

    def broken(self, status: int) -> Response:
        said = "We encountered an internal error. Please try again."
        return error(status, "InternalError" if status == 500 else "ServiceUnavailable", said)

    @route("GET", "/_folder/<name>")
    def lend(self, request: Request, name: str) -> Response:
        """A folder of the sandbox's own. No vendor's: how Octo keeps off real folders."""
        return Response(json.dumps({"folder": str(self.folders.folder(name))}), mimetype="application/json")

    @route("GET", "/<bucket>")
    def index(self, request: Request, bucket: str) -> Response:
        """ListObjectsV2."""
        if bucket not in self.buckets:
            return no_bucket()
        prefix, after = request.args.get("prefix", ""), request.args.get("continuation-token", "")
        keys = sorted(key for key in self.buckets[bucket] if key.startswith(prefix) and key > after)
        most = min(int(request.args.get("max-keys", MOST_KEYS)), MOST_KEYS)
        found = "".join(entry(key, self.buckets[bucket][key]) for key in keys[:most])
        more = len(keys) > most
        token = f"<NextContinuationToken>{escape(keys[most - 1])}</NextContinuationToken>" if more else ""
        return xml(
            f"<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Name>{bucket}</Name>"
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(keys[:most])}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{found}</ListBucketResult>"
        )

    @route("HEAD", "/<bucket>/<path:key>")
    @route("GET", "/<bucket>/<path:key>")
    def show(self, request: Request, bucket: str, key: str) -> Response:
        if bucket not in self.buckets:
            return no_bucket()
        if key not in self.buckets[bucket]:
            return no_key()
        held = self.buckets[bucket][key]
        return Response(held.content, headers=held.headers, mimetype="binary/octet-stream")

    @route("PUT", "/<bucket>/<path:key>")
    def put(self, request: Request, bucket: str, key: str) -> Response:
        if bucket not in self.buckets:
            return no_bucket()
        if self.fault("written_meanwhile") and key in self.buckets[bucket]:
            self.buckets[bucket][key] = Object(self.buckets[bucket][key].content + b"\n", self.clock())
        if refused := self.unmet(request, self.buckets[bucket].get(key)):
            return refused
        source = request.headers.get("X-Amz-Copy-Source")
        if source is None:
            made = self.buckets[bucket][key] = Object(content(request), self.clock())
            return Response(headers={"ETag": made.etag})
        place, _, name = unquote(source).lstrip("/").partition("/")
        if name not in self.buckets.get(place, {}):
            return no_key()
        made = self.buckets[bucket][key] = self.buckets[place][name]
        at = datetime.fromtimestamp(made.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return xml(
            f"<CopyObjectResult><LastModified>{at}</LastModified><ETag>{made.etag}</ETag></CopyObjectResult>"
        )

    def unmet(self, request: Request, held: Object | None) -> Response | None:
        """A condition that does not hold; `If-Match` of what is not there is 404 (the same document)."""
        wanted = request.headers.get("If-Match")
        if wanted is not None and held is None:
            return no_key()
        if (request.headers.get("If-None-Match") == "*" and held is not None) or (
            wanted is not None and held is not None and wanted != held.etag
        ):
            return error(
                412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
            )
        return None

    @route("DELETE", "/<bucket>/<path:key>")
    def delete(self, request: Request, bucket: str, key: str) -> Response:
        if bucket not in self.buckets:
            return no_bucket()
        self.buckets[bucket].pop(key, None)
        return Response(status=204)


def missigned(request: Request, told: Authorization) -> Response | None:
    """The prefix that leads to this twin is no part of the vendor's path: signed with or without it."""
    headers = {name.lower(): value for name, value in request.headers}
    for path in (request.path, f"{request.root_path}{request.path}"):
        asked = Asked(request.method, path, request.query_string.decode(), headers)
        if signature(asked, told, SECRET) == told.signature:
            return None
    said = "The request signature we calculated does not match the signature you provided."
    return error(403, "SignatureDoesNotMatch", said)


def damaged(request: Request) -> Response | None:
    """A body that is not what was signed."""
    body = request.get_data()
    said, md5 = request.headers.get("X-Amz-Content-SHA256", ""), request.headers.get("Content-MD5")
    if said not in UNSIGNED and hashlib.sha256(body).hexdigest() != said:
        late = "The provided 'x-amz-content-sha256' header does not match what was computed."
        return error(400, "XAmzContentSHA256Mismatch", late)
    if md5 and base64.b64decode(md5) != hashlib.md5(body, usedforsecurity=False).digest():
        return error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
    return None


def content(request: Request) -> bytes:
    """A body; one in chunks (`aws-chunked`) without its lengths and trailers."""
    body = request.get_data()
    if "aws-chunked" not in request.headers.get("Content-Encoding", ""):
        return body
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        whole, body = whole + rest[:length], rest[length + 2 :]
    return whole


def rows(name: str, content: bytes) -> list[dict[str, Any]]:
    """The rows of a file a person can read; of another, its size."""
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline="")))
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in content.splitlines()]
    return [{"bytes": len(content)}]


def entry(key: str, held: Object) -> str:
    at = datetime.fromtimestamp(held.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{at}</LastModified><ETag>{escape(held.etag)}</ETag>"
        f"<Size>{len(held.content)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def xml(body: str, status: int = 200) -> Response:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return Response(head + body, status=status, mimetype="application/xml")


def error(status: int, code: str, message: str) -> Response:
    return xml(f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>", status)


def no_key() -> Response:
    return error(404, "NoSuchKey", "The specified key does not exist.")


def no_bucket() -> Response:
    return error(404, "NoSuchBucket", "The specified bucket does not exist")
