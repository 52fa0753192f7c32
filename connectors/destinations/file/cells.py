"""What stands in a cell for a value, and which value a cell stands for.

Text is guarded in CSV because a spreadsheet runs what begins with `=`, `+`, `-`, `@`, a tab or a return
(OWASP, "CSV Injection"): an apostrophe goes before it, and is taken off when Octo reads its own file. A phone
number begins so too, and can run nothing; it is left alone, so that a dialler finds the number it was sent.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from octo_dagster.model import FieldType, Value

LONGEST = 32_767
"""Characters of a cell: Excel's limit ("Excel specifications and limits"); more is cut or spilled over."""

BETWEEN = "|"
"""Between the choices of a list."""

RUNS = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[+\-][\d .,()/\-]*")


class Unfit(ValueError):
    """A value this file cannot hold; its words are the reason the row is rejected for."""


def guarded(text: str) -> str:
    """With an apostrophe in front of what a spreadsheet would run; `'=` gets one more, so nothing is lost."""
    return f"'{text}" if RUNS.match(text) and not NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """What `guarded` was given."""
    return text[1:] if text.startswith("'") and RUNS.match(text) else text


def joined(choices: list[str]) -> str:
    """A list as one text. Unfit when a choice holds what stands between them, or nothing."""
    for choice in choices:
        if not choice or BETWEEN in choice:
            raise Unfit(f"a choice is empty or holds {BETWEEN!r}, which stands between choices")
    return BETWEEN.join(choices)


def fitting(text: str, encoding: str = "utf-8") -> str:
    """The text itself. Unfit when it is too long, or has a character the file's encoding does not."""
    if len(text) > LONGEST:
        raise Unfit(f"has {len(text):,} characters; a cell takes {LONGEST:,}")
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        raise Unfit(f"the character {text[error.start]!r} is not in {encoding}") from None
    return text


def number(text: str) -> Decimal | None:
    """The number written so; None when it is none."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def typed(text: str, kind: FieldType | None, point: str = ".") -> Value:
    """The value that text stands for in a field of this type; the text where it is none (somebody's edit)."""
    if not text:
        return None
    if kind is FieldType.BOOLEAN:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind is FieldType.INTEGER and re.fullmatch(r"-?\d+", text):
        return int(text)
    if kind is FieldType.DECIMAL:
        found = number(text.replace(point, "."))
        return text if found is None else found
    return text.split(BETWEEN) if kind is FieldType.LIST else text
