"""The part of Mailchimp's twin that answers for members: one by one, five hundred at once, page by page."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.mailchimp.audience import STATUSES, Audience, Member, exists, hashed
from connectors.sandbox.mailchimp.wire import API, Refused, page, read, said, unfit
from connectors.sandbox.twin import Twin, route

MOST_MEMBERS = 500
ONE = f"{API}/lists/<list_id>/members/<who>"


class Members(Twin):
    """Routes for the members of an audience."""

    deaf_to_new_status = False
    """Whether the batch call ignores `status_if_new`, which its published schema does not list."""
    meanwhile: Callable[[int], None] | None = None
    """Called after every page of members, with the offset it began at: an edit of somebody else's."""

    @abstractmethod
    def audience(self, request: Request, list_id: str) -> Audience:
        """The audience of this id in the account whose key the request carries."""

    @route("POST", f"{API}/lists/<list_id>")
    def batch(self, request: Request, list_id: str) -> Response:
        """Each member is dealt with alone; the call succeeds whatever becomes of them."""
        audience, body = self.audience(request, list_id), read(request)
        rows = checked(body.get("members"))
        told: dict[str, list[Any]] = {"new_members": [], "updated_members": [], "errors": []}
        for row in rows:
            try:
                fresh, member = self.one_of_many(audience, row, body, lenient(request))
            except Refused as refused:
                told["errors"].append(error(row, refused))
                continue
            shown = {**audience.briefly(member), **audience.tagged(member)}
            told["new_members" if fresh else "updated_members"].append(shown)
        counts = {
            "total_created": len(told["new_members"]),
            "total_updated": len(told["updated_members"]),
            "error_count": len(told["errors"]),
        }
        return said(request, told | counts)

    def one_of_many(
        self, audience: Audience, row: Mapping[str, Any], body: Mapping[str, Any], lenient: bool
    ) -> tuple[bool, Member]:
        """Whether the member is new, and the member. Archived ones count as new (reported of `status`; taken
        here to hold for `status_if_new` too, which is the reading a caller must be safe under)."""
        email = str(row["email_address"])
        member = audience.members.get(hashed(email))
        fresh = member is None or member.status == "archived"
        if not fresh and not body.get("update_existing"):
            raise exists(email)
        status = row.get("status") or (row.get("status_if_new") if fresh else None)
        if fresh and self.deaf_to_new_status:
            status = row.get("status", "subscribed")
        if member is None:
            audience.check_address(email)
        if fresh and status is None:
            raise unfit(("status", "This value should not be blank."))
        merge = audience.merged(row.get("merge_fields"), member, lenient=lenient)
        if member is None:
            member = audience.create(email, str(status), self.clock())
        else:
            audience.change_status(member, status, self.clock())
        self.fill(member, row, merge)
        numbers = [audience.tag(name) for name in row.get("tags", ())]
        kept = [] if body.get("sync_tags") and body.get("update_existing") else member.tags
        member.tags = list(dict.fromkeys([*kept, *numbers]))
        return fresh, member

    def fill(self, member: Member, row: Mapping[str, Any], merge: dict[str, Any]) -> None:
        member.merge, member.changed = merge, self.clock()
        member.email_type = row.get("email_type", member.email_type)
        member.vip = row.get("vip", member.vip)

    @route("GET", f"{API}/lists/<list_id>/members")
    def show_members(self, request: Request, list_id: str) -> Response:
        audience = self.audience(request, list_id)
        status, since = request.args.get("status"), request.args.get("since_last_changed")
        rows = [
            member
            for member in audience.members.values()
            if status in (None, member.status) and (since is None or member.changed > moment(since))
        ]
        shown = [audience.shown(member) for member in page(request, rows)]
        self.served(request)
        return said(request, {"members": shown, "list_id": list_id, "total_items": len(rows)})

    def served(self, request: Request) -> None:
        """A page of members went out."""
        if self.meanwhile:
            self.meanwhile(int(request.args.get("offset", "0")))

    @route("POST", f"{API}/lists/<list_id>/members")
    def add_member(self, request: Request, list_id: str) -> Response:
        """Somebody new, or archived, who comes back with all there was of him (recorded)."""
        audience, body = self.audience(request, list_id), read(request)
        if body.get("status") not in STATUSES:
            raise unfit(("status", "This value should not be blank."))
        email = audience.check_address(body.get("email_address"))
        member = audience.members.get(hashed(email))
        if member is not None and member.status != "archived":
            raise exists(email)
        merge = audience.merged(body.get("merge_fields"), member, lenient=lenient(request))
        if member is None:
            member = audience.create(email, body["status"], self.clock())
        audience.change_status(member, body["status"], self.clock())
        self.fill(member, body, merge)
        member.tags = list(dict.fromkeys([*member.tags, *map(audience.tag, body.get("tags", ()))]))
        return said(request, audience.shown(member))

    @route("GET", ONE)
    def show_member(self, request: Request, list_id: str, who: str) -> Response:
        audience = self.audience(request, list_id)
        return said(request, audience.shown(audience.member(who)))

    @route("PATCH", ONE)
    def change_member(self, request: Request, list_id: str, who: str) -> Response:
        audience = self.audience(request, list_id)
        return said(request, audience.shown(self.put(request, audience, audience.member(who))))

    @route("PUT", ONE)
    def put_member(self, request: Request, list_id: str, who: str) -> Response:
        """Somebody there is changed; who is archived stays so unless a `status` is given (reported)."""
        audience, body = self.audience(request, list_id), read(request)
        member = audience.members.get(hashed(who) if "@" in who else who)
        if member is None:
            status = body.get("status_if_new") or body.get("status")
            if status not in STATUSES:
                raise unfit(("status_if_new", "This value should not be blank."))
            email = audience.check_address(body.get("email_address"))
            if hashed(email) in audience.members:
                raise exists(email)  # recorded: the path names somebody else
            merge = audience.merged(body.get("merge_fields"), None, lenient=lenient(request))
            member = audience.create(email, status, self.clock())
            self.fill(member, body, merge)
        return said(request, audience.shown(self.put(request, audience, member)))

    def put(self, request: Request, audience: Audience, member: Member) -> Member:
        """Change what the body names, and nothing else."""
        body = read(request)
        if body.get("status") not in (None, *STATUSES):
            raise unfit(("status", "The value you selected is not a valid choice."))
        merge = audience.merged(body.get("merge_fields"), member, lenient=lenient(request))
        audience.readdress(member, body.get("email_address", member.email))
        audience.change_status(member, body.get("status"), self.clock())
        self.fill(member, body, merge)
        return member

    @route("DELETE", ONE)
    def archive_member(self, request: Request, list_id: str, who: str) -> Response:
        audience = self.audience(request, list_id)
        audience.archive(audience.member(who), self.clock())
        return Response(status=204)

    @route("POST", f"{ONE}/actions/delete-permanent")
    def delete_member(self, request: Request, list_id: str, who: str) -> Response:
        audience = self.audience(request, list_id)
        member = audience.member(who)
        audience.forgotten.add(member.id)
        del audience.members[member.id]
        return Response(status=204)

    @route("GET", f"{ONE}/tags")
    def show_tags(self, request: Request, list_id: str, who: str) -> Response:
        audience = self.audience(request, list_id)
        tags = audience.tagged(audience.member(who))["tags"]
        return said(request, {"tags": page(request, tags), "total_items": len(tags)})

    @route("POST", f"{ONE}/tags")
    def change_tags(self, request: Request, list_id: str, who: str) -> Response:
        audience = self.audience(request, list_id)
        member = audience.member(who)
        for tag in read(request).get("tags", ()):
            number = audience.tag(tag["name"])
            kept = [held for held in member.tags if held != number]
            member.tags = [*kept, number] if tag["status"] == "active" else kept
        return Response(status=204, content_type="application/json; charset=utf-8")


def lenient(request: Request) -> bool:
    """Whether required merge fields may be missing."""
    return request.args.get("skip_merge_validation") == "true"


def checked(rows: Any) -> list[dict[str, Any]]:
    """The members of a batch, if all are of the schema; else the whole call is refused."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unfit(("members", "Schema describes array"))
    if len(rows) > MOST_MEMBERS:
        raise unfit(("members", f"Up to {MOST_MEMBERS} members may be added or updated with each API call."))
    for place, row in enumerate(rows):
        for name in ("status", "status_if_new"):
            if row.get(name, "subscribed") not in STATUSES:
                raise unfit((f"members.{place}.{name}", "The value you selected is not a valid choice."))
        if not isinstance(row.get("merge_fields", {}), dict) or None in row.get("merge_fields", {}).values():
            raise unfit((f"members.{place}.merge_fields", "Schema describes object, null found instead"))
        if not isinstance(row.get("email_address"), str):
            raise unfit((f"members.{place}.email_address", "Schema describes string"))
    return rows


def error(row: Mapping[str, Any], refused: Refused) -> dict[str, Any]:
    """Why one member of a batch was not taken."""
    first = refused.errors[0] if refused.errors else {"field": "", "message": ""}
    return {
        "email_address": row["email_address"],
        "error": refused.detail,
        "error_code": "ERROR_CONTACT_EXISTS" if refused.title == "Member Exists" else "ERROR_GENERIC",
        "field": first["field"],
        "field_message": first["message"],
    }


def moment(text: str) -> float:
    """The seconds since 1970 that a query names."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as wrong:
        raise unfit(("since_last_changed", "This value is not a valid datetime.")) from wrong
