"""Who may talk to the Salesforce twin: its apps, the tokens they were given, when these end."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from werkzeug.wrappers import Request

from connectors.sandbox.salesforce.org import Org

LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
JWT_SECONDS = 180
PASSWORD = "password"  # noqa: S105 - a grant type
SANDBOX_PASSWORD = "sandbox-password"  # noqa: S105 - a twin's
CLIENT_CREDENTIALS = "client_credentials"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class App:
    """An external client app of one org: by secret, or by the public key of its certificate."""

    org: Org
    secret: str | None = None
    username: str | None = None
    public_key: str | None = None


@dataclass(frozen=True)
class Denied(Exception):
    """The token endpoint's refusal."""

    error: str
    description: str


class Doorman:
    """Hands out tokens and knows whose they are."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.apps: dict[str, App] = {}
        self.tokens: dict[str, tuple[Org, float]] = {}
        self.token_seconds = 7200.0

    def token(self, request: Request) -> tuple[str, Org]:
        """A new token for what the form says; Denied otherwise."""
        grant = request.form.get("grant_type", "")
        if grant == CLIENT_CREDENTIALS:
            org = self.by_secret(request)
        elif grant == PASSWORD:
            org = self.by_password(request)
        elif grant == JWT_BEARER:
            org = self.by_assertion(request.form.get("assertion", ""))
        else:
            raise Denied("unsupported_grant_type", "grant type not supported")
        made = f"{org.id[:15]}!{org.new_id('0At')}"
        self.tokens[made] = (org, self.clock() + self.token_seconds)
        return made, org

    def by_password(self, request: Request) -> Org:
        """The username-password flow, which an org blocks unless an administrator lets it (REST guide)."""
        org = self.by_secret(request)
        if request.form.get("password") != SANDBOX_PASSWORD:
            raise Denied("invalid_grant", "authentication failure")
        return org

    def by_secret(self, request: Request) -> Org:
        given = request.form.get("client_id", ""), request.form.get("client_secret", "")
        header = request.headers.get("Authorization", "")
        if header.startswith("Basic "):
            name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
            given = name, secret
        app = self.apps.get(given[0])
        if app is None:
            raise Denied("invalid_client_id", "client identifier invalid")
        if app.secret is None or app.secret != given[1]:
            raise Denied("invalid_client", "invalid client credentials")
        return app.org

    def by_assertion(self, assertion: str) -> Org:
        """Signature by RS256, audience, user and the three minutes are all checked."""
        try:
            named = jwt.decode(assertion, options={"verify_signature": False})
            app = self.apps.get(str(named.get("iss")))
            if app is None or app.public_key is None:
                raise Denied("invalid_client_id", "client identifier invalid")
            claims: dict[str, Any] = jwt.decode(
                assertion,
                app.public_key,
                algorithms=["RS256"],
                audience=list(LOGIN_HOSTS),
                options={"verify_exp": False},
            )
        except jwt.InvalidAudienceError as error:
            raise Denied("invalid_grant", "audience is invalid") from error
        except jwt.InvalidTokenError as error:
            raise Denied("invalid_grant", "invalid assertion") from error
        left = float(claims["exp"]) - self.clock()
        if not 0 < left <= JWT_SECONDS + 5:
            raise Denied("invalid_grant", "expired authorization code")
        if claims.get("sub") != app.username:
            raise Denied("invalid_grant", "user hasn't approved this consumer")
        return app.org

    def known(self, request: Request) -> Org | None:
        """The org of the token the request carries; None when it carries none that is still good."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        org, until = self.tokens.get(token, (None, 0.0))
        return org if kind in {"Bearer", "OAuth"} and until > self.clock() else None
