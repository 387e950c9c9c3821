"""What needs the user's attention: each problem in a sentence, with the command to type."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mediad.errors import printable
from mediad.model import Counts

if TYPE_CHECKING:
    from mediad.steering.status import Life

Document = Mapping[str, object]

_LIBRARY = {
    "offline": "mount or mend it, then this looks at once",
    "full": "make room, or lower min_free and reload",
    "readonly": "make it writable, then this looks at once",
}


def attention(
    life: Life, watches: Sequence[Document], libraries: Sequence[Document], queue: Counts
) -> list[dict[str, str]]:
    """The reply's `attention`.

    Args:
        watches, libraries: as the reply has them.
    """
    return [
        {"code": code, "message": message, "command": command}
        for code, message, command in (
            *_libraries(libraries),
            *_watches(watches),
            *_files(life),
            *_pauses(life, queue),
            *_configuration(life),
        )
    ]


def _libraries(libraries: Sequence[Document]) -> Iterator[tuple[str, str, str]]:
    for library in libraries:
        state, name = str(library["state"]), str(library["name"])
        if state not in _LIBRARY:
            continue
        why = f": {library['error']}" if library["error"] else ""
        command = f"df -h {_word(library['path'])}" if state == "full" else f"mediactl scan {name}"
        yield f"library-{state}", f"library {name} is {state}{why} ({_LIBRARY[state]})", command


def _watches(watches: Sequence[Document]) -> Iterator[tuple[str, str, str]]:
    for watch in watches:
        name, error = str(watch["name"]), str(watch["error"] or "")
        if not error:
            continue
        if watch["state"] == "offline":
            yield "watch-offline", f"watch {name} is offline: {error}", f"ls -ld {_word(watch['path'])}"
        elif watch["state"] == "degraded" and "max_user_watches" in error:
            command = "sudo sysctl fs.inotify.max_user_watches=1048576"
            yield "watch-degraded", f"watch {name} sees some changes late: {error}", command
        elif watch["state"] == "error":
            yield "watch-error", f"watch {name} cannot be looked at: {error}", f"mediactl scan {name}"
        else:
            yield "watch-degraded", f"watch {name} is not seen whole: {error}", f"mediactl scan {name}"


def _files(life: Life) -> Iterator[tuple[str, str, str]]:
    troubled = life.pipeline.recorder.tally.troubled
    if count := troubled.get("quarantined", 0):
        yield (
            "quarantined",
            f"{_files_text(count)} could not be read and {_are(count)} put aside",
            "mediactl failures",
        )
    if count := troubled.get("failed", 0):
        yield "failed", f"{_files_text(count)} could not be taken; tried again by itself", "mediactl failures"


def _pauses(life: Life, queue: Counts) -> Iterator[tuple[str, str, str]]:
    for pause in life.pipeline.pauses.all():
        if pause.until is None and queue.held:
            what = pause.name or "everything"
            waits = f"{_files_text(queue.held)} {'waits' if queue.held == 1 else 'wait'}"
            yield (
                "paused",
                f"{what} is paused until it is resumed; {waits}",
                f"mediactl resume {pause.name}".rstrip(),
            )


def _configuration(life: Life) -> Iterator[tuple[str, str, str]]:
    if life.refused:
        problems = f"{life.refused} problem{'s' * (life.refused > 1)}"
        text = f"the changed configuration has {problems}; the old one is in force"
        yield "configuration", text, f"mediad check-config --config {_word(life.config_file)}"


def _files_text(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _word(path: object) -> str:
    """A path as one word of a shell command that can be typed."""
    return shlex.quote(printable(str(path)))
