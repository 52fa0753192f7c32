"""What must not stand in an address, kept here under a word that may: names, e-mails, places in a list."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

MOST = 20_000


class Kept:
    """Word → text, for as long as the server runs; the oldest go first."""

    def __init__(self) -> None:
        self.held: OrderedDict[str, str] = OrderedDict()
        self.lock = threading.Lock()

    def keep(self, text: str) -> str:
        """A word for this text."""
        word = secrets.token_urlsafe(9)
        with self.lock:
            self.held[word] = text
            if len(self.held) > MOST:
                self.held.popitem(last=False)
        return word

    def told(self, word: str) -> str | None:
        """The text of a word; None for one that is unknown, or too old."""
        return self.held.get(word)
