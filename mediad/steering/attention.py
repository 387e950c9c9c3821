"""What needs the user's attention: each problem in a sentence, with the command to type."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mediad.errors import printable
from mediad.ingest.pauses import EVERYTHING
from mediad.library import TRASH
from mediad.model import Counts, Result
from mediad.shell import word
from mediad.sizes import size_text
from mediad.store.paths import under

if TYPE_CHECKING:
    from mediad.clock import Clock
    from mediad.ingest.pipeline import Pipeline
    from mediad.steering.status import Life

_NOTICED = 60.0  # seconds that the clock is behind; less is time being set right

Document = Mapping[str, object]

_LIBRARY = {
    "offline": "mount or mend it, then this looks at once",
    "full": "make room, or lower min_free and reload",
    "readonly": "make it writable, then this looks at once",
}


def attention(
    life: Life, watches: Sequence[Document], libraries: Sequence[Document], counts: Mapping[str, Counts]
) -> list[dict[str, str]]:
    """The reply's `attention`.

    Args:
        watches, libraries: as the reply has them.
        counts: of what waits, by what it is taken from.
    """
    return [
        {"code": code, "message": message, "command": command}
        for code, message, command in (
            *_catalogue(life.pipeline),
            *_libraries(libraries),
            *_room(life.pipeline, counts),
            *_watches(watches),
            *_files(life.pipeline),
            *_apart(life.pipeline),
            *_open(life.pipeline),
            *_verified(life.pipeline),
            *_analysis(life.pipeline),
            *_outstaying(life.pipeline),
            *_clock(life.pipeline.clock),
            *_pauses(life.pipeline, counts),
            *_configuration(life),
            *_backups(life.pipeline),
        )
    ]


def _catalogue(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    if pipeline.database.starved:
        text = "the disk of the catalogue is full, and everything waits until there is room"
        yield "catalogue-full", text, f"df -h {_word(pipeline.config.daemon.state_dir)}"


def _libraries(libraries: Sequence[Document]) -> Iterator[tuple[str, str, str]]:
    for library in libraries:
        state, name = str(library["state"]), str(library["name"])
        if state not in _LIBRARY:
            continue
        why = f": {library['error']}" if library["error"] else ""
        hint = "" if why.endswith(")") else f" ({_LIBRARY[state]})"  # the error has a remedy of its own
        adopt = f"mediactl adopt {name}"
        command = adopt if why.endswith(f"{adopt})") else f"mediactl scan {name}"
        if state == "full":
            command = f"df -h {_word(library['path'])}"
        yield f"library-{state}", f"library {name} is {state}{why}{hint}", command


def _room(pipeline: Pipeline, counts: Mapping[str, Counts]) -> Iterator[tuple[str, str, str]]:
    """Libraries that take small files still, and not these."""
    for shelf in pipeline.shelves:
        library = shelf.settings
        from_open = [name for name in counts if not pipeline.gates.closed(name)]
        held = sum(
            counts[name].held for name in from_open if library.name in pipeline.gates.libraries_of(name)
        )
        if shelf.cramped and held:
            text = (
                f"{_files_text(held)} {'does' if held == 1 else 'do'} not fit into library {library.name}: "
                f"{size_text(shelf.room)} are free above min_free ({size_text(library.min_free)})"
            )
            yield "held-full", text, f"df -h {_word(library.path)}"


def _watches(watches: Sequence[Document]) -> Iterator[tuple[str, str, str]]:
    for watch in watches:
        name, error = str(watch["name"]), str(watch["error"] or "")
        if not error:
            continue
        if watch["state"] == "offline":
            text = f"watch {name} is offline: {error} (plug it in or mount it)"
            yield "watch-offline", text, f"mediactl scan {name}"
        elif watch["state"] == "degraded" and "max_user_watches" in error:
            command = "sudo sysctl fs.inotify.max_user_watches=1048576"
            yield "watch-degraded", f"watch {name} sees some changes late: {error}", command
        elif watch["state"] == "error":
            yield "watch-error", f"watch {name} cannot be looked at: {error}", f"mediactl scan {name}"
        else:
            yield "watch-degraded", f"watch {name} is not seen whole: {error}", f"mediactl scan {name}"


def _files(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    if pipeline.pool.failing:
        systemctl = "sudo systemctl" if _is_the_systems(pipeline) else "systemctl --user"
        text = f"files cannot be looked into: {pipeline.pool.failing}"
        hint = "restart mediad; if that does not help, install it anew"
        yield "workers", f"{text} ({hint})", f"{systemctl} restart mediad"
    if count := _troubled(pipeline, Result.QUARANTINED):
        text = f"{_files_text(count)} could not be read and {_are(count)} not filed"
        yield "quarantined", text, "mediactl failures"
    failed = _troubled(pipeline, Result.FAILED)
    imports = min(pipeline.recorder.tally.imports, failed)
    if count := failed - imports:
        yield "failed", f"{_files_text(count)} could not be taken; tried again by itself", "mediactl failures"
    if imports:
        text = f"{_files_text(imports)} of imports could not be taken; only another import tries again"
        yield "import-failed", text, "mediactl failures"
    for name, (count, last) in pipeline.recorder.lingering.items():
        if name in pipeline.serving:
            text = f"{_files_text(count)} of {name} {_are(count)} filed and could not be removed from there"
            hint = (
                f"libraries have them; the last is {printable(last)}; tried again with every look at {name}"
            )
            yield "not-removed", f"{text} ({hint})", f"ls -ld {word(os.path.dirname(last))}"


def _troubled(pipeline: Pipeline, outcome: Result) -> int:
    """How many files in trouble are to be told of: those that are tried again are in the queue, as the totals
    have it, and of these as many as may be are taken for dismissed ones.
    """
    tally, again = pipeline.recorder.tally, pipeline.tracker.told_before()
    told = tally.troubled.get(outcome, 0)
    dismissed = tally.files.get(outcome, 0) - told
    return max(0, told - max(0, again[outcome] - dismissed))


def _apart(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """Sets whose files did not come together."""
    for one in pipeline.gatherer.failing.values():
        if one.worth_telling:
            text = f"{printable(one.path)} cannot be brought beside what it belongs to: {one.reason}"
            yield "apart", f"{text} (tried again by itself)", f"mediactl why {_word(os.fsdecode(one.path))}"
            return


def _open(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """What was cut off, and recovery can neither finish nor take back."""
    for shelf in pipeline.shelves:
        if shelf.stuck:
            name, why = shelf.settings.name, next(iter(shelf.stuck.values()))
            count = len(shelf.stuck)
            hint = "" if why.endswith(")") else " (mount or mend that, then this looks at once)"
            what = f"{_files_text(count)} of library {name} {_are(count)} stuck half-way: {why}{hint}"
            yield "steps-open", what, f"mediactl scan {name}"


_FOUND = {
    "changed": "changed by itself (a failing disk?)",
    "missing": "missing",
    "unreadable": "not readable",
}


def _verified(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """Library files that were found to be wrong, until they are right again or accepted."""
    for shelf in pipeline.shelves:
        trouble = pipeline.verifier.troubles.get(shelf.id)
        for state, words in _FOUND.items():
            if trouble is None or not (count := trouble.files[state]):
                continue
            root = os.fsencode(shelf.settings.path)
            path = root if trouble.path is None else under(root, trouble.path)
            where = "" if trouble.path is None else f": {printable(trouble.path)}"
            text = f"{_files_text(count)} of library {shelf.settings.name} {_are(count)} {words}{where}"
            yield state, text, f"mediactl verify {word(path)}"


def _analysis(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """Films that cannot be compared without a program."""
    if (count := pipeline.analyser.lacking) and pipeline.analyser.is_on:
        text = f"{_files_text(count)} cannot be compared with others: ffmpeg is not installed"
        hint = 'install it, then `mediactl reload`; or set duplicates.similar = "off"'
        yield "no-ffmpeg", f"{text} ({hint})", "sudo apt-get install ffmpeg"


def _outstaying(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """What trash keeps though its time is over."""
    for shelf in pipeline.shelves:
        if count := pipeline.expirer.kept.get(shelf.id, 0):
            text = (
                f"{_files_text(count)} in the trash of library {shelf.settings.name} {_are(count)} kept "
                "longer: the last of their content, or changed"
            )
            yield "trash-kept", text, f"ls -l {word(under(os.fsencode(shelf.settings.path), TRASH))}"


def _is_the_systems(pipeline: Pipeline) -> bool:
    """Is it, by its socket, the system's daemon and no user's?"""
    return pipeline.config.daemon.sockets[0].startswith("/run/mediad/")


def _clock(clock: Clock) -> Iterator[tuple[str, str, str]]:
    if (clock.newest - clock.micros()) / 1e6 < _NOTICED:
        return
    text = (
        f"the clock says {clock.now():%Y-%m-%d %H:%M} UTC, but it was {clock.present():%Y-%m-%d %H:%M} UTC "
        "already; until it is past that, capture dates up to then are believed and nothing expires"
    )
    yield "clock", f"{text} (set the clock)", "sudo timedatectl set-ntp true"


def _pauses(pipeline: Pipeline, counts: Mapping[str, Counts]) -> Iterator[tuple[str, str, str]]:
    for pause in pipeline.pauses.all():
        held = sum(
            counts[name].held
            for name in counts
            if pause.name in (EVERYTHING, name) or pause.name in pipeline.gates.libraries_of(name)
        )
        if pause.until is None and held:
            what = pause.name or "everything"
            waits = f"{_files_text(held)} {'waits' if held == 1 else 'wait'}"
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


def _backups(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    for name, why in pipeline.unsaved.items():
        what = f"what library {name} should carry of it" if name else "the catalogue"
        path = pipeline.config.libraries[name].path if name in pipeline.config.libraries else ""
        text = f"{what} could not be backed up: {why} (tried again by itself)"
        yield "backup-failed", text, f"df -h {_word(path or pipeline.config.daemon.state_dir)}"


def _files_text(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _word(path: object) -> str:
    """A path as one word of a shell command that can be typed."""
    return shlex.quote(printable(str(path)))
