"""Commands for people to type. PURE."""

from __future__ import annotations

import shlex


def word(path: bytes) -> str:
    """A path as one word of a command line, printable whatever bytes it has (bash and zsh)."""
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_quoted(char) for char in text) + "'"


def _quoted(char: str) -> str:
    if char in "\\'":
        return "\\" + char
    if char.isprintable():
        return char
    # octal always has three digits, so that no digit that follows is taken for one of them
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))
