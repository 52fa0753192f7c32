"""Folders of the sandbox's own, where Octo's are while it delivers to the sandbox."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class Folders:
    """Made when first asked for, for this user only, gone with the sandbox."""

    def __init__(self) -> None:
        self.root: Path | None = None

    def folder(self, name: str) -> Path:
        if self.root is None:
            self.root = Path(tempfile.mkdtemp(prefix="octo-sandbox-"))
            weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)
        path = self.root / name
        path.mkdir(exist_ok=True)
        return path

    def files(self) -> dict[str, bytes]:
        """`folder/name` → content, of every file that is all there."""
        if self.root is None:
            return {}
        found = sorted(path for path in self.root.glob("*/[!.]*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}
