"""What is shown to people: tables, colours, and text that fits the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import SimpleNamespace

from mediad.errors import printable

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from typing import TextIO

_USUAL = 80  # columns of a terminal that does not say
_WIDEST = 120  # columns; longer lines are hard to follow
_NARROWEST = 12  # columns that an elided cell keeps
_GAP = "  "
_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_WORDS = {
    "green": ("watching", "online", "filed", "running"),
    "yellow": ("scanning", "paused", "adopting", "held", "stopping", "quarantined"),
    "red": ("offline", "degraded", "error", "full", "readonly", "failed"),
}
_COLOUR_OF = {word: colour for colour, words in _WORDS.items() for word in words}


class Screen(SimpleNamespace):  # making a NamedTuple takes as long as loading typing
    """What an output can show.

    Attributes:
        columns: its width, None if it is no terminal: then nothing is ever cut.
        lines: its height.
    """

    columns: int | None
    lines: int
    colour: bool
    unicode: bool

    def __init__(
        self, columns: int | None = None, lines: int = 24, colour: bool = False, unicode: bool = True
    ) -> None:
        super().__init__(columns=columns, lines=lines, colour=colour, unicode=unicode)

    @classmethod
    def of(cls, stream: TextIO, env: Mapping[str, str] = os.environ) -> Screen:
        """The screen behind a stream."""
        unicode = _can_encode(stream, "●…→")
        if not stream.isatty():
            return cls(unicode=unicode)
        size = os.get_terminal_size(stream.fileno())
        columns = int(env["COLUMNS"]) if env.get("COLUMNS", "").isdecimal() else size.columns
        colour = not env.get("NO_COLOR") and env.get("TERM") not in (None, "", "dumb")
        return cls(min(columns or _USUAL, _WIDEST), size.lines or 24, colour, unicode)

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour ("" for none), where there are colours."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.colour and colour and text else text

    def word(self, word: str) -> str:
        """A state or an outcome in its colour."""
        return self.paint(word, _COLOUR_OF.get(word.strip(), ""))

    def fit(self, text: str, used: int = 0) -> str:
        """One printable line, elided to what a terminal has left beside `used` columns."""
        text = printable(text)
        return text if self.columns is None else elide(text, self.columns - used, self.dots)

    @property
    def dots(self) -> str:
        return "…" if self.unicode else "..."

    @property
    def arrow(self) -> str:
        return "→" if self.unicode else "->"


class Table:
    """Rows in columns, which may come in several parts; the heads are printed above the first.

    Args:
        right: the columns that are flush right.
        elastic: the columns that are elided where a terminal is too narrow.
        words: the columns that hold states or outcomes, which have colours.
    """

    def __init__(
        self,
        screen: Screen,
        heads: Sequence[str],
        *,
        right: Collection[int] = (),
        elastic: Collection[int] = (),
        words: Collection[int] = (),
    ) -> None:
        self._screen = screen
        self._heads = heads
        self._right = right
        self._elastic = elastic
        self._words = words
        self._widths = [width(head) for head in heads]
        self._begun = False

    def lines(self, rows: Iterable[Sequence[str]]) -> list[str]:
        """These rows as lines; nothing for no rows."""
        cells = [[printable(cell) for cell in row] for row in rows]
        if not cells:
            return []
        for row in cells:
            self._widths = [max(old, width(cell)) for old, cell in zip(self._widths, row, strict=True)]
        self._squeeze()
        heads = [] if self._begun else [self._screen.paint(self._line(self._heads), "bold")]
        self._begun = True
        return heads + [self._line(row, coloured=True) for row in cells]

    def _squeeze(self) -> None:
        if self._screen.columns is None:
            return
        over = sum(self._widths) + len(_GAP) * (len(self._widths) - 1) - self._screen.columns
        while over > 0 and (wide := [i for i in self._elastic if self._widths[i] > _NARROWEST]):
            self._widths[max(wide, key=self._widths.__getitem__)] -= 1
            over -= 1

    def _line(self, row: Sequence[str], *, coloured: bool = False) -> str:
        cells = []
        for number, (cell, columns) in enumerate(zip(row, self._widths, strict=True)):
            text = cell
            if number in self._elastic and self._screen.columns is not None:
                text = elide(cell, columns, self._screen.dots)
            space = " " * (columns - width(text))
            if coloured and number in self._words:
                text = self._screen.word(text)
            cells.append(space + text if number in self._right else text + space)
        return _GAP.join(cells).rstrip()


def width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def elide(text: str, columns: int, dots: str = "…") -> str:
    """A text that takes no more than these columns, cut in the middle; of a path the file name is kept."""
    if width(text) <= columns:
        return text
    room = columns - len(dots)
    name = text[text.rfind("/") :] if "/" in text else ""
    if not name or width(name) > room:  # prose tells most at its start, a long name at its end
        name = _taken(reversed(text), room * 2 // 3 if name else room // 3)[::-1]
    return _taken(text, room - width(name)) + dots + name


def _taken(characters: Iterable[str], columns: int) -> str:
    """As many of these characters as fit."""
    found, used = [], 0
    for char in characters:
        used += _char_width(char)
        if used > columns:
            break
        found.append(char)
    return "".join(found)


def _char_width(char: str) -> int:
    if char.isascii():
        return 1
    import unicodedata  # a megabyte, which ordinary names do without

    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _can_encode(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def screen() -> Screen:
    """The screen behind standard output."""
    return Screen.of(sys.stdout)
