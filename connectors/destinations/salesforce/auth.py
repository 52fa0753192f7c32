"""Signing in to Salesforce: an external client app with a secret, or with a certificate.

Never by password: SOAP `login()` is gone from version 65 on and ends with Summer '27."""

from __future__ import annotations

from typing import Literal

import jwt
import requests
from pydantic import BaseModel, ConfigDict
from simple_salesforce.login import SalesforceLogin

from octo_dagster.destination import Secret
from octo_dagster.errors import ConfigError


class ClientCredentials(BaseModel):
    """An external client app that runs as its own user (OAuth client credentials)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: Secret
    client_secret: Secret

    def token(self, http: requests.Session, domain: str) -> str:
        """A new access token."""
        key, secret = self.client_id.reveal(), self.client_secret.reveal()
        signed = SalesforceLogin(
            session=http, domain=f"{domain}.my", consumer_key=key, consumer_secret=secret
        )
        return str(signed[0])


class JwtBearer(BaseModel):
    """An external client app with a certificate (OAuth JWT bearer)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: Secret
    username: str
    private_key: Secret
    """PEM; `\\n` may stand for line ends."""
    audience: Literal["https://login.salesforce.com", "https://test.salesforce.com"] = (
        "https://login.salesforce.com"
    )

    def token(self, http: requests.Session, domain: str) -> str:
        """A new access token. ConfigError when the private key is none."""
        try:
            signed = SalesforceLogin(
                session=http,
                domain=self.audience.removeprefix("https://").removesuffix(".salesforce.com"),
                instance_url=f"{domain}.my",
                username=self.username,
                consumer_key=self.client_id.reveal(),
                privatekey=self.private_key.reveal().replace("\\n", "\n"),
            )
        except (ValueError, jwt.InvalidKeyError):
            raise ConfigError(f"{self.private_key.env} does not hold a private key in PEM") from None
        return str(signed[0])
