"""Which endpoints Klaviyo's twin has, what each may be asked in a second, a minute, a day, and by whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """Quota and scopes of one endpoint (spec: `x-klaviyo-ratelimit`, `x-klaviyo-scopes`)."""

    burst: int
    steady: int
    scopes: tuple[str, ...]
    daily: int | None = None


JOBS, LISTS, MEMBERS = "/api/profile-bulk-import-jobs", "/api/lists", "/api/lists/{id}/relationships/profiles"
READ_BOTH, WRITE_BOTH = ("lists:read", "profiles:read"), ("lists:write", "profiles:write")
ENDPOINTS: Mapping[str, Endpoint] = {
    "GET /api/accounts": Endpoint(1, 15, ("accounts:read",)),
    f"GET {LISTS}": Endpoint(75, 750, ("lists:read",)),
    f"POST {LISTS}": Endpoint(10, 150, ("lists:write",), 150),
    f"GET {LISTS}/{{id}}": Endpoint(75, 750, ("lists:read",)),
    f"GET {LISTS}/{{id}}/profiles": Endpoint(75, 750, READ_BOTH),
    f"POST {MEMBERS}": Endpoint(10, 150, WRITE_BOTH),
    f"DELETE {MEMBERS}": Endpoint(10, 150, WRITE_BOTH),
    "GET /api/profiles": Endpoint(75, 750, ("profiles:read",)),
    "GET /api/profiles/{id}": Endpoint(75, 750, ("profiles:read",)),
    "PATCH /api/profiles/{id}": Endpoint(75, 750, ("profiles:write",)),
    "GET /api/profiles/{id}/relationships/lists": Endpoint(3, 60, READ_BOTH),
    "POST /api/profile-import": Endpoint(75, 750, ("profiles:write",)),
    f"POST {JOBS}": Endpoint(10, 150, WRITE_BOTH),
    f"GET {JOBS}/{{job_id}}": Endpoint(10, 150, READ_BOTH),
    f"GET {JOBS}/{{id}}/import-errors": Endpoint(10, 150, ("profiles:read",)),
}
PATTERNS = {name: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(name))) for name in ENDPOINTS}


def endpoint(method: str, path: str) -> str | None:
    """The name in ENDPOINTS of the one a call is for."""
    asked = f"{method} {path.rstrip('/')}"
    return next((name for name, pattern in PATTERNS.items() if pattern.fullmatch(asked)), None)
