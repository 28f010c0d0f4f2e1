"""Files that a reader sees whole (floor 0, stdlib only)."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new, empty file beside `path` to write to. It takes its place when all went well, and is gone when not.

    A file that is there keeps its permissions, and a link stays one.

    Parameters
    ----------
    path : Path
        What a reader finds: the old content, or all of the new.

    Yields
    ------
    Path
        What to write to.

    Raises
    ------
    OSError
        If there can be no such file.
    """
    path = Path(os.path.realpath(path))  # unlike resolve(), no error of its own for links that go round in a circle
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    known = path.exists()
    try:
        beside.touch(0o600 if known else 0o666, exist_ok=False)
        yield beside
        if known:
            shutil.copymode(path, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
