"""A vendor's knock: who may, and how it proves who it is. `hook:` in a source's file.

hook: {by: shopify, secret: {env: SHOPIFY_CLIENT_SECRET}}          # POST /v1/hooks/<source>
hook: {by: woocommerce, secret: {env: WOO_HOOK_SECRET}}
hook: {by: octo, secret: {env: HOOK_SECRET}, into: orders}         # into: of a `push` source only

For a source that can be asked, a hook is a knock: its rows are pulled by their cursor, and what the hook held
is not kept. For a `push` source it is the data. Where the secret is being changed, name both in a list.

- shopify: X-Shopify-Hmac-Sha256, base64 of HMAC-SHA256 over the raw body by the app's client secret
  (shopify.dev/docs/apps/build/webhooks/verify-deliveries).
- woocommerce: X-WC-Webhook-Signature, likewise, by the webhook's secret.
- octo: `X-Octo-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY`, refused when it is more than
  five minutes old; as Octo's own `webhook` destination signs (`Octo-Signature` is read too).

The first two sign the body and nothing else: not when, nor for which topic, nor the delivery's id
(X-Shopify-Webhook-Id, X-Shopify-Event-Id, X-WC-Webhook-Delivery-ID), which anybody can change. So what was
signed is itself the name of a delivery, and a body must say which version of its order it is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from octo_dagster.destination import Secret

WINDOW = 300
"""Seconds a signature with a time in it is good for, either way."""
STAMPED = re.compile(r"t=(\d{1,12}),v1=([0-9a-fA-F]{64})")
SIGNATURES: Mapping[str, tuple[str, ...]] = {
    "shopify": ("x-shopify-hmac-sha256",),
    "woocommerce": ("x-wc-webhook-signature",),
    "octo": ("x-octo-signature", "octo-signature"),
}
ONCE = "idempotency-key"
"""The header by which an `octo` sender names a delivery: it signs anew to try it again."""
PING = re.compile(rb"webhook_id=\d+")
"""What WooCommerce sends, unsigned, to see whether an address is there before it keeps it."""


class Hook(BaseModel):
    """Whose knocks a source listens to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["shopify", "woocommerce", "octo"]
    secret: Secret | tuple[Secret, ...]
    into: str | None = None
    """Of a push source: the table's `from` that a hook's body is a row, or a list of rows, of."""

    def signed(self, body: bytes, headers: Mapping[str, str], now: float) -> bool:
        """Whether the vendor made this body, and, where its signature has a time, lately. Header names in
        lower case. ConfigError when the secret is not in the environment."""
        told = self.told(headers)
        secrets = self.secret if isinstance(self.secret, tuple) else (self.secret,)
        keys = [one.reveal().encode() for one in secrets]
        if self.dated:
            return stamped(told, keys, body, now)
        sent = decoded(told)
        return any(hmac.compare_digest(hmac.digest(key, body, "sha256"), sent) for key in keys)

    def ping(self, body: bytes) -> bool:
        """Whether it is WooCommerce asking if anybody is there."""
        return self.by == "woocommerce" and PING.fullmatch(body) is not None

    @property
    def dated(self) -> bool:
        """Whether a signature says when it was made, and so is good for a while only."""
        return self.by == "octo"

    def covered(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        """All that a good signature vouches for: what comes again is the same delivery, whatever else the
        request says."""
        stamp = STAMPED.fullmatch(self.told(headers)) if self.dated else None
        return stamp[1].encode() + b"." + body if stamp else body

    def delivery(self, headers: Mapping[str, str]) -> str | None:
        """The sender's own name for what it delivers, where that is not what it signs."""
        return (headers.get(ONCE) or None) if self.dated else None

    def told(self, headers: Mapping[str, str]) -> str:
        """The signature there is; empty without one."""
        return next((headers[name] for name in SIGNATURES[self.by] if name in headers), "")


def stamped(told: str, keys: list[bytes], body: bytes, now: float) -> bool:
    """Whether a signature with a time in it is good and fresh."""
    found = STAMPED.fullmatch(told)
    if not found or abs(now - int(found[1])) > WINDOW:
        return False
    sent = bytes.fromhex(found[2])
    signed = found[1].encode() + b"." + body
    return any(hmac.compare_digest(hmac.digest(key, signed, "sha256"), sent) for key in keys)


def decoded(told: str) -> bytes:
    try:
        return base64.b64decode(told, validate=True)
    except (binascii.Error, ValueError):
        return b""
