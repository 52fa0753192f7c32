"""Lists of an API: Shopify, WooCommerce, PrestaShop, Klaviyo, Mailchimp, Brevo … whatever the YAML tells.

dlt pages and signs in; where a pull got to and what is kept is ours. Every value is text, as the API spells
it. A list is read to its end before a row is handed on. `state` is the greatest cursor that came, and never
later than now: a record dated in the future would hide what is changed until then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from pydantic import Field, field_validator, model_validator

from connectors.sources.rest.auth import Auth
from connectors.sources.rest.listing import Listing
from connectors.sources.rest.order import earlier, size
from connectors.sources.rest.resource import Resource
from connectors.sources.rest.web import Web, chosen
from octo_dagster.errors import ConfigError
from octo_dagster.source import OUTSIDE, Outside, Pull, Reading, Source


class Rest(Source):
    """The lists of one API."""

    type: Literal["rest"] = "rest"
    base_url: str
    auth: Auth | None = None
    headers: Mapping[str, str] = {}
    """Sent with every call; no secrets."""
    most_a_second: float | None = Field(default=None, gt=0)
    """Calls; for vendors whose quota is better kept than run into."""
    sandbox: str | None = None
    """The twin that stands for it where OCTO_SANDBOX is set."""
    resources: Mapping[str, Resource] = Field(min_length=1)

    @field_validator("base_url")
    @classmethod
    def an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("is no https address")
        if parts.username or parts.query:
            raise ValueError("holds a key: put it in the environment and say how under auth")
        return value.rstrip("/")

    @model_validator(mode="after")
    def parents_are_there(self) -> Rest:
        for name, resource in self.resources.items():
            parent = resource.parent.resource if resource.parent else None
            if parent is not None and (parent not in self.resources or self.resources[parent].parent):
                raise ValueError(f"resources.{name}.parent: {parent!r} is no list that stands by itself")
        return self

    @property
    def host(self) -> str:
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    def unsaid(self, outside: Outside = OUTSIDE) -> str | None:
        host = urlsplit(self.base_url).hostname or ""
        if chosen(outside) or not host.endswith(("your-shop.myshopify.com", ".example.com")):
            return None
        return f"base_url: still the example's, {host}: write your own"

    def problem(self, pull: Pull) -> str | None:
        if pull.table not in self.resources:
            return f"from: there is no resource {pull.table!r}; there are {', '.join(self.resources)}"
        resource = self.resources[pull.table]
        asked = self.resources[resource.parent.resource] if resource.parent else resource
        return f"cursor: {pull.table} has no `since`" if pull.cursor and asked.since is None else None

    def columns(self, pull: Pull) -> tuple[str, ...]:
        """Nobody can know them before reading."""
        return ()

    def read(self, pull: Pull) -> Reading:
        begin = None if pull.after is None else earlier(pull.after, pull.overlap)
        listing = self.listing(pull)
        with listing.http:
            spool = listing.spooled(begin)
        now = pull.outside.clock()
        reached = listing.since.known(listing.reached, now) if listing.since else listing.reached
        state = max((text for text in (pull.after, reached) if text is not None), key=size, default=None)
        return Reading(spool.schema, spool.batches(), state, whole=pull.cursor is None, begin=begin)

    def keys(self, pull: Pull, key: tuple[str, ...]) -> Reading:
        """Every key, by the list's `keys` where it has them: a shorter reply."""
        listing = self.listing(replace(pull, columns=key, after=None))
        with listing.http:
            spool = listing.for_keys().spooled(None)
        return Reading(spool.schema, spool.batches())

    def listing(self, pull: Pull) -> Listing:
        """The list to read, and a way to it."""
        if problem := self.problem(pull):
            raise ConfigError(problem)
        resource = self.resources[pull.table]
        parent = self.resources[resource.parent.resource] if resource.parent else None
        http, auth = self.session(pull)
        return Listing(self.base_url, resource, parent, pull, http, auth)

    def session(self, pull: Pull) -> tuple[requests.Session, Any]:
        """A session of one pull, and what signs its calls."""
        made = requests.Session()
        made.trust_env = False
        made.headers["Accept"] = "application/json"
        made.headers.update(self.headers)
        web = Web(self.host, self.sandbox, pull.outside, self.most_a_second)
        made.mount("https://", web)
        made.mount("http://", web)
        web.auth = self.auth.made(made, self.base_url) if self.auth else None
        return made, web.auth
