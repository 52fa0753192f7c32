"""Ways to sign in, by dlt's classes; loaded when a call is made, because dlt is a second of imports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import requests
from pydantic import BaseModel, ConfigDict, Field

from octo_dagster.destination import Secret
from octo_dagster.errors import SourceError

if TYPE_CHECKING:
    from requests.auth import AuthBase


class Method(BaseModel):
    """One way; every secret is a place in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bearer(Method):
    """`Authorization: Bearer …`."""

    by: Literal["bearer"]
    token: Secret

    def made(self, http: requests.Session, root: str) -> AuthBase:
        from dlt.sources.helpers.rest_client.auth import BearerTokenAuth  # noqa: PLC0415

        made: AuthBase = BearerTokenAuth(self.token.reveal())
        return made


class Header(Method):
    """A header of the vendor's own, `api-key: …`; with a `prefix` where the key does not stand alone."""

    by: Literal["header"]
    name: str
    key: Secret
    prefix: str = ""

    def made(self, http: requests.Session, root: str) -> AuthBase:
        from dlt.sources.helpers.rest_client.auth import APIKeyAuth  # noqa: PLC0415

        made: AuthBase = APIKeyAuth(name=self.name, api_key=self.prefix + self.key.reveal())
        return made


class Basic(Method):
    """A user and a password; where a key is all there is, one of them is left out."""

    by: Literal["basic"]
    user: Secret | str = ""
    password: Secret | None = None

    def made(self, http: requests.Session, root: str) -> AuthBase:
        from dlt.sources.helpers.rest_client.auth import HttpBasicAuth  # noqa: PLC0415

        user = self.user if isinstance(self.user, str) else self.user.reveal()
        made: AuthBase = HttpBasicAuth(user, self.password.reveal() if self.password else "")
        return made


class Client(Method):
    """OAuth 2 client credentials: a token is asked for, used, and asked for again when it has ended."""

    by: Literal["client_credentials"]
    token_url: str
    """Below `base_url`, or an address of its own."""
    client_id: Secret
    client_secret: Secret
    header: str = "Authorization"
    """Where the token goes; any other header carries it bare, as Shopify's `X-Shopify-Access-Token`."""
    request: dict[str, str] = {}
    """What else to say when asking for the token, a `scope` for instance."""
    needs: tuple[str, ...] = ()
    """Scopes without which lists come cut short while no call is refused; `write_x` holds `read_x`."""

    def made(self, http: requests.Session, root: str) -> AuthBase:
        from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials  # noqa: PLC0415

        header, lacking = self.header, self.lacking

        class Granted(OAuth2ClientCredentials):  # type: ignore[misc, unused-ignore]
            """dlt's, with the token in the vendor's own header."""

            def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
                """Sign one request."""
                signed: requests.PreparedRequest = super().__call__(request)
                if header != "Authorization":
                    del signed.headers["Authorization"]
                    signed.headers[header] = str(self.access_token)
                return signed

            def parse_access_token(self, response_json: Any) -> str:
                """The token of a reply. SourceError when it may not read all that is needed."""
                if missing := lacking(response_json.get("scope")):
                    raise SourceError(
                        f"{root}: the app may not {', '.join(missing)}: grant it, install it anew"
                    )
                return str(super().parse_access_token(response_json))

        made: AuthBase = Granted(
            access_token_url=self.token_url if "://" in self.token_url else f"{root}/{self.token_url}",
            client_id=self.client_id.reveal(),
            client_secret=self.client_secret.reveal(),
            access_token_request_data=dict(self.request),
            session=http,
        )
        return made

    def lacking(self, granted: str | None) -> list[str]:
        """What of `needs` was not granted; of a server that does not say, nothing."""
        given = set(re.split(r"[,\s]+", granted)) if granted is not None else set(self.needs)
        given |= {f"read_{one.removeprefix('write_')}" for one in given if one.startswith("write_")}
        return [one for one in self.needs if one not in given]


Auth: TypeAlias = Annotated[Bearer | Header | Basic | Client, Field(discriminator="by")]


def renewed(auth: Any, request: requests.PreparedRequest) -> bool:
    """Sign a refused request anew, where a new token can be had."""
    if not hasattr(auth, "obtain_token"):
        return False
    auth.access_token = None
    auth(request)
    return True
