"""Where each key of a TOML text stands. PURE.

tomllib gives values without places. This walks a text that tomllib has accepted, and so checks nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

KeyPath = tuple[str | int, ...]

_BLANK = " \t"
_SPACE = " \t\n"


def locate(text: str) -> dict[KeyPath, int]:
    """Line numbers, from 1, of all tables, keys and array items of a valid TOML text."""
    walker = _Walker(text.replace("\r\n", "\n"))
    walker.walk()
    return walker.lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of `path`, or of the nearest table around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Walker:
    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._counts: dict[KeyPath, int] = {}  # items of each array of tables so far

    def walk(self) -> None:
        table: KeyPath = ()
        while self._skip(_SPACE):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> KeyPath:
        array = self._text.startswith("[[", self._at)
        self._advance(1 + array)
        names = list(self._key())
        self._advance(1 + array)
        path: KeyPath = ()
        for name in names[:-1]:
            self._note((*path, name))
            path = self._entered((*path, name))
        path = (*path, names[-1])
        self._note(path)
        if array:
            self._counts[path] = self._counts.get(path, 0) + 1
            path = self._entered(path)
            self._note(path)
        return path

    def _entered(self, path: KeyPath) -> KeyPath:
        """The table that a header's `path` means: of an array of tables, the last one."""
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _pair(self, table: KeyPath) -> None:
        path, line = table, self._line
        for name in self._key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self._skip(_BLANK)
        self._advance(1)  # the equals sign
        self._value(path)

    def _key(self) -> Iterator[str]:
        """The parts of a dotted key; ends before what follows it."""
        while True:
            self._skip(_BLANK)
            if self._peek() in ('"', "'"):
                start = self._at
                self._string()
                yield str(tomllib.loads(f"k = {self._text[start : self._at]}")["k"])
            else:
                start = self._at
                while self._peek() not in " \t.]=":
                    self._advance(1)
                yield self._text[start : self._at]
            self._skip(_BLANK)
            if self._peek() != ".":
                return
            self._advance(1)

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        char = self._peek()
        if char in ('"', "'"):
            self._string()
        elif char == "[":
            self._array(path)
        elif char == "{":
            self._inline(path)
        else:
            while self._peek() not in "\n,]}#":  # "" at the end is in every string
                self._advance(1)

    def _array(self, path: KeyPath) -> None:
        self._advance(1)
        index = 0
        while self._skip(_SPACE + ",") and self._peek() != "]":
            self._note((*path, index))
            self._value((*path, index))
            index += 1
        self._advance(1)

    def _inline(self, path: KeyPath) -> None:
        self._advance(1)
        while self._skip(_SPACE + ",") and self._peek() != "}":
            self._pair(path)
        self._advance(1)

    def _string(self) -> None:
        quote = self._peek()
        fence = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        self._advance(len(fence))
        while not self._text.startswith(fence, self._at):
            self._advance(2 if quote == '"' and self._peek() == "\\" else 1)
        self._advance(len(fence))
        while len(fence) == 3 and self._peek() == quote:  # quotes right before the fence
            self._advance(1)

    def _note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self._line)

    def _skip(self, blanks: str) -> bool:
        """Skips blanks and, where lines may end, comments; False at the end of the text."""
        while (char := self._peek()) and (char in blanks or (char == "#" and "\n" in blanks)):
            if char == "#":
                end = self._text.find("\n", self._at)
                self._at = end if end >= 0 else len(self._text)
            else:
                self._advance(1)
        return self._at < len(self._text)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _advance(self, count: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count
