"""Signing in to Google as a service account, over the engine's own session."""

from __future__ import annotations

import json

import requests
from google.auth.transport.requests import Request as Lent
from google.oauth2.service_account import Credentials

from octo_dagster.destination import Secret
from octo_dagster.errors import ConfigError

SIGN_IN_HOST = "https://oauth2.googleapis.com"


class Carrier(Lent):
    """Signing in over our session, and leaving it open: Google's own closes what it was lent."""

    def __del__(self) -> None:
        self.session = None  # type: ignore[assignment]


def access_token(http: requests.Session, secret: Secret, scope: str) -> str:
    """A new access token, of an hour. ConfigError when the secret is no service account's key as JSON.

    Where the key's own file says to sign in is not asked: it goes to Google."""
    try:
        key = json.loads(secret.reveal()) | {"token_uri": f"{SIGN_IN_HOST}/token"}
        account = Credentials.from_service_account_info(key, scopes=[scope])  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):
        raise ConfigError(f"{secret.env} does not hold a service account's key, as JSON") from None
    account.refresh(Carrier(http))
    return str(account.token)
