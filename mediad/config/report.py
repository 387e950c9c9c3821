"""Where values come from, and what is wrong with them. PURE."""

from __future__ import annotations

from mediad.config.locate import KeyPath, line_of
from mediad.errors import printable


def dotted(path: KeyPath) -> str:
    """A key path for people, who count from one: `rule[1].match`."""
    out = ""
    for part in path:
        out += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return out.lstrip(".")


class Report:
    """Collects every problem and warning of one configuration, and each value's origin by dotted key."""

    def __init__(self, file: str, lines: dict[KeyPath, int]) -> None:
        self.origins: dict[str, str] = {}
        self.warnings: list[str] = []
        self._file = file
        self._lines = lines
        self._problems: list[tuple[int, str]] = []
        self._wrong: set[str] = set()

    def note(self, path: KeyPath) -> None:
        """Notes that the value of `path` stands in the file."""
        self.origins[dotted(path)] = self._in_file(path)

    def place(self, path: KeyPath) -> str:
        """Where the value of `path` comes from; for what is not written, where its table stands."""
        origin = self.origins.get(dotted(path), "default")
        return self._in_file(path) if origin == "default" else origin

    def wrong(self, path: KeyPath, message: str) -> None:
        """Notes a problem: what is wrong; what is allowed."""
        self._wrong.add(dotted(path))
        self._problems.append((line_of(self._lines, path), self._line(path, message)))

    def is_wrong(self, path: KeyPath) -> bool:
        """True if a problem was noted for this very key."""
        return dotted(path) in self._wrong

    def warn(self, path: KeyPath, message: str) -> None:
        self.warnings.append(self._line(path, message))

    @property
    def problems(self) -> list[str]:
        """All of them, by line."""
        return [line for _, line in sorted(self._problems, key=lambda problem: problem[0])]

    def _line(self, path: KeyPath, message: str) -> str:
        key = f"{dotted(path)}: " if path else ""
        return printable(f"{self.place(path)}: {key}{message}")

    def _in_file(self, path: KeyPath) -> str:
        return f"{self._file}:{line_of(self._lines, path)}"
