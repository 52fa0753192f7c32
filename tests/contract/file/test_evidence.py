"""What makes the S3 twin believable: Amazon's own examples of a signature, and Amazon's own client."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from connectors.sandbox.file.signature import Asked, Authorization, signature
from connectors.sandbox.server import Sandbox
from tests.conftest import Clock

EMPTY = hashlib.sha256(b"").hexdigest()
WELCOME = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BASE = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"}
EXAMPLES = {
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41": Asked(
        "GET", "/test.txt", "", BASE | {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY}
    ),
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd": Asked(
        "PUT",
        "/test$file.text",
        "",
        BASE
        | {
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-content-sha256": WELCOME,
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        },
    ),
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543": Asked(
        "GET", "/", "lifecycle", BASE | {"x-amz-content-sha256": EMPTY}
    ),
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7": Asked(
        "GET", "/", "max-keys=2&prefix=J", BASE | {"x-amz-content-sha256": EMPTY}
    ),
}
"""The four examples of "Authenticating Requests: Using the Authorization Header" in the S3 API reference."""


@pytest.mark.parametrize("expected", EXAMPLES)
def test_amazons_examples_are_signed_so(expected: str) -> None:
    """The twin works out the very signature Amazon's document gives for each of its examples."""
    asked = EXAMPLES[expected]
    told = Authorization(
        "AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3", sorted(asked.headers), expected
    )
    assert signature(asked, told, SECRET) == expected


def client(sandbox: Sandbox, **said: Any) -> Any:
    """Amazon's client in front of the twin."""
    return boto3.client(
        "s3",
        **{
            "endpoint_url": f"{sandbox.address}/file",
            "region_name": "eu-west-3",
            "aws_access_key_id": "octo-access",
            "aws_secret_access_key": "octo-secret",
            "config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        }
        | said,
    )


@pytest.fixture
def s3(sandbox: Sandbox) -> Iterator[Any]:
    made = client(sandbox)
    yield made
    made.close()


HERE = {"Bucket": "octo-exports", "Key": "calls/à faire.csv"}


def code(call: Any, **said: Any) -> tuple[int, str]:
    """Status and code of the error a call meets."""
    with pytest.raises(ClientError) as met:
        call(**said)
    told = met.value.response
    return told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]


def test_boto3_keeps_files_in_it(s3: Any) -> None:
    """Amazon's client puts, gets, looks up, copies, lists and deletes; tags are the MD5 of the content."""
    put = s3.put_object(**HERE, Body="Zoë\r\n".encode())
    md5 = hashlib.md5("Zoë\r\n".encode(), usedforsecurity=False).hexdigest()
    assert put["ETag"] == f'"{md5}"'
    s3.upload_fileobj(io.BytesIO(b"x" * 70_000), "octo-exports", "calls/big.csv")
    got, looked = s3.get_object(**HERE), s3.head_object(**HERE)
    assert (got["Body"].read().decode(), got["ETag"], looked["ContentLength"]) == ("Zoë\r\n", put["ETag"], 6)
    s3.copy_object(Bucket="octo-exports", Key="calls/copy.csv", CopySource=HERE)
    first = s3.list_objects_v2(Bucket="octo-exports", Prefix="calls/", MaxKeys=2)
    rest = s3.list_objects_v2(
        Bucket="octo-exports", Prefix="calls/", ContinuationToken=first["NextContinuationToken"]
    )
    listed = [(one["Key"], one["Size"]) for one in [*first["Contents"], *rest["Contents"]]]
    assert listed == [("calls/big.csv", 70_000), ("calls/copy.csv", 6), ("calls/à faire.csv", 6)]
    s3.delete_object(**HERE)
    assert code(s3.get_object, **HERE) == (404, "NoSuchKey")


def test_boto3_meets_the_conditions(s3: Any) -> None:
    """`If-None-Match: *` and `If-Match` hold as Amazon says: 412 for another version, 404 for none."""
    assert code(s3.put_object, **HERE, Body=b"", IfMatch='"abc"') == (404, "NoSuchKey")
    first = s3.put_object(**HERE, Body=b"1", IfNoneMatch="*")["ETag"]
    assert code(s3.put_object, **HERE, Body=b"2", IfNoneMatch="*") == (412, "PreconditionFailed")
    s3.put_object(**HERE, Body=b"2", IfMatch=first)
    assert code(s3.put_object, **HERE, Body=b"3", IfMatch=first) == (412, "PreconditionFailed")
    assert s3.get_object(**HERE)["Body"].read() == b"2"


def test_boto3_is_refused_as_amazon_refuses(sandbox: Sandbox, s3: Any) -> None:
    """Wrong keys, region and bucket, a clock that is off, too many calls: each under the code boto3 knows."""
    wrong = {
        "aws_secret_access_key": (403, "SignatureDoesNotMatch"),
        "aws_access_key_id": (403, "InvalidAccessKeyId"),
        "region_name": (400, "AuthorizationHeaderMalformed"),
    }
    for name, expected in wrong.items():
        other = client(sandbox, **{name: "other"})
        assert code(other.get_object, **HERE) == expected
        other.close()
    assert code(s3.get_object, **HERE | {"Bucket": "nobodys"}) == (404, "NoSuchBucket")
    sandbox.fault("file", "throttle")
    assert code(s3.put_object, **HERE, Body=b"") == (503, "SlowDown")


def test_an_old_request_is_refused(clock: Clock) -> None:
    """A signature is good for a quarter of an hour by the twin's clock."""
    with Sandbox(clock=clock) as sandbox:
        made = client(sandbox)
        assert code(made.get_object, **HERE) == (403, "RequestTimeTooSkewed")
        made.close()
