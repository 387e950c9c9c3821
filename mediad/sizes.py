"""Sizes as people read them. PURE."""

from __future__ import annotations


def size_text(size: float) -> str:
    """Bytes in powers of 1000: "1.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        # what would round up to 1000 belongs to the next unit
        if size < (1000 if unit == "B" else 999.5 if unit == "kB" else 999.95):
            return f"{size:.0f} {unit}" if unit in ("B", "kB") else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
