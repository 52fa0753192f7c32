"""The part of Klaviyo's twin that answers for profiles, for lists, and for who is in which."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.klaviyo.account import Account, Profile, check_values
from connectors.sandbox.klaviyo.quota import LISTS
from connectors.sandbox.klaviyo.shape import check_shape
from connectors.sandbox.klaviyo.wire import SITE, chosen, data_of, ids_of, invalid, ordered, paged, said
from connectors.sandbox.twin import Twin, route

ONE_LIST = f"{LISTS}/<number>"
PROFILE_FILTERS = ("id", "email", "phone_number", "external_id", "_kx")
MEMBER_FILTERS = ("email", "phone_number", "push_token", "_kx")
"""A list cannot be asked by external id (spec)."""


class People(Twin):
    """Routes below `/api/lists` and `/api/profiles`, of an account the request's key names."""

    @abstractmethod
    def account(self, request: Request) -> Account:
        """The account whose key the request carries."""

    # lists -----------------------------------------------------------------------------------------

    @route("GET", LISTS)
    def get_lists(self, request: Request) -> Response:
        fits = chosen(request, ("name", "id"))
        shown = [held.shown() for held in self.account(request).lists.values()]
        flat = [{**one["attributes"], "id": one["id"], "shown": one} for one in shown]
        rows = ordered(request, [one for one in flat if fits(one)], ("created", "id", "name", "updated"))
        page, links = paged(request, rows, 10, 10)
        return said({"data": [one["shown"] for one in page], "links": links})

    @route("POST", LISTS)
    def create_list(self, request: Request) -> Response:
        name = (data_of(request, "list").get("attributes") or {}).get("name")
        if not isinstance(name, str) or not name:
            raise invalid("'name' is required.", "/data/attributes/name")
        made = self.account(request).add_list(name, self.clock())
        return said({"data": made.shown()}, 201)

    @route("GET", ONE_LIST)
    def get_list(self, request: Request, number: str) -> Response:
        return said({"data": self.account(request).list(number).shown()})

    @route("GET", f"{ONE_LIST}/profiles")
    def get_members(self, request: Request, number: str) -> Response:
        account = self.account(request)
        held = account.list(number)
        inside = [one for one in account.profiles.values() if held.id in one.lists]
        return profiles_page(request, inside, MEMBER_FILTERS, held.id)

    @route("POST", f"{ONE_LIST}/relationships/profiles")
    def add_members(self, request: Request, number: str) -> Response:
        account = self.account(request)
        held = account.list(number)
        for profile in [account.profile(one) for one in ids_of(request)]:
            profile.lists.setdefault(held.id, self.clock())
        return Response(status=204)

    @route("DELETE", f"{ONE_LIST}/relationships/profiles")
    def remove_members(self, request: Request, number: str) -> Response:
        """Membership only: consent and suppressions stay (spec)."""
        account = self.account(request)
        held = account.list(number)
        for profile in [account.profile(one) for one in ids_of(request)]:
            profile.lists.pop(held.id, None)
        return Response(status=204)

    # profiles --------------------------------------------------------------------------------------

    @route("GET", "/api/profiles")
    def get_profiles(self, request: Request) -> Response:
        return profiles_page(request, list(self.account(request).profiles.values()), PROFILE_FILTERS)

    @route("POST", "/api/profiles")
    def create_profile(self, request: Request) -> Response:
        """A new one only: one that any of its identifiers names is told of, 409."""
        account, data = self.account(request), data_of(request, "profile")
        check_shape(data)
        account.check_free(data["attributes"])
        found, _ = account.upsert(data, self.clock(), nulls=True)
        return said({"data": resource(request, found)}, 201)

    @route("GET", "/api/profiles/<number>")
    def get_profile(self, request: Request, number: str) -> Response:
        return said({"data": resource(request, self.account(request).profile(number))})

    @route("PATCH", "/api/profiles/<number>")
    def update_profile(self, request: Request, number: str) -> Response:
        account, data = self.account(request), data_of(request, "profile")
        found = account.profile(number)
        if data.get("id") != number:
            raise invalid("The id in the body is not that of the address.", "/data/id")
        check_shape(data)
        check_values(data["attributes"])
        account.upsert(data, self.clock(), nulls=True)
        return said({"data": resource(request, found)})

    @route("POST", "/api/profile-import")
    def create_or_update_profile(self, request: Request) -> Response:
        data = data_of(request, "profile")
        check_shape(data)
        found, created = self.account(request).upsert(data, self.clock(), nulls=True)
        return said({"data": resource(request, found)}, 201 if created else 200)

    @route("GET", "/api/profiles/<number>/relationships/lists")
    def get_list_ids(self, request: Request, number: str) -> Response:
        found = self.account(request).profile(number)
        links = {"self": f"{SITE}/api/profiles/{number}/relationships/lists"}
        return said({"data": [{"type": "list", "id": one} for one in found.lists], "links": links})


def resource(request: Request, profile: Profile, member_of: str | None = None) -> dict[str, Any]:
    """A profile with the attributes this call asks for; of a list's members also since when."""
    asked, additional = (
        request.args.get("fields[profile]"),
        request.args.get("additional-fields[profile]", ""),
    )
    made = profile.shown(asked, additional, member_of)
    if request.path != "/api/profiles" or request.method != "GET":
        del made["relationships"]["conversations"]  # only that collection has it (spec)
    return made


def profiles_page(
    request: Request, profiles: list[Profile], filters: tuple[str, ...], member_of: str | None = None
) -> Response:
    """A page of those profiles that the filter lets through."""
    fits = chosen(request, filters)
    flat = [
        {**one.plain, "id": one.id, "created": one.created, "updated": one.updated, "of": one}
        for one in profiles
    ]
    rows = ordered(request, [one for one in flat if fits(one)], ("id", "created", "updated", "email"))
    page, links = paged(request, rows, 100, 20)
    return said({"data": [resource(request, one["of"], member_of) for one in page], "links": links})
