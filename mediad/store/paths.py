"""Absolute paths of what rows name below a root. PURE."""

from __future__ import annotations


def under(root: bytes, path: bytes) -> bytes:
    """The absolute path of what lies below a root."""
    return root.rstrip(b"/") + b"/" + path


def below(root: bytes | None, path: bytes | None) -> bytes | None:
    """`under`, where both are known."""
    return None if root is None or path is None else under(root, path)
