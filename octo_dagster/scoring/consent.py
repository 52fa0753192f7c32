"""Who may be reached by which channel, and how people say that they want no more of it."""

from __future__ import annotations

from typing import Literal, get_args

Channel = Literal["email", "sms", "push", "ads", "call", "mail"]

CHANNELS: tuple[Channel, ...] = get_args(Channel)

CONSENTS: dict[Channel, str] = {
    "email": "email_consent",
    "sms": "sms_consent",
    "call": "call_consent",
    # An ad audience is a list of addresses given to somebody else.
    "ads": "email_consent",
}
"""Channel → the column of `customers` that must be true; a letter and a push message need none."""

UNSUBSCRIBED = (
    "unsubscribed",
    "unsubscribe",
    "unsub",
    "opt_out",
    "list_unsubscribed",
    "complaint",
    "complained",
    "spam",
)
"""`message_events.event_type`, in lower case, of a person who wants no more messages."""

DO_NOT_CONTACT = "do_not_contact"
"""A true-or-false column a shop's source may add to `customers`: nobody writes to or calls these people."""
