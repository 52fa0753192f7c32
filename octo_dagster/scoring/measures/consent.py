"""Who may be reached by which channel, and who has said that he wants no more messages."""

from __future__ import annotations

from typing import Any, Literal, get_args

import sqlalchemy as sa

from octo_dagster.scoring.measures.inbox import EventTypes, is_one_of

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

DO_NOT_CONTACT = "do_not_contact"
"""A true-or-false column a shop's source may add to `customers`: nobody writes to or calls these people."""


def has_refused(event_type: sa.ColumnElement[Any], names: EventTypes) -> sa.ColumnElement[bool]:
    """Whether an event of this type says that its customer wants no more messages."""
    return is_one_of(event_type, names, ("unsubscribed", "complained"))
