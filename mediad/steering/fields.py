"""Fields that several replies share. PURE."""

from __future__ import annotations


def local_text(taken: str | None) -> str | None:
    """A local time in ISO 8601 as replies have it: no fraction, or one without zeros at its end."""
    return taken.rstrip("0").rstrip(".") if taken is not None and "." in taken else taken


def limited(limit: int | None, default: int, most: int) -> int:
    """How many rows a page may have."""
    return max(1, min(default if limit is None else limit, most))
