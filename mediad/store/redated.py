"""Dates that were overridden, and files that have none to override. Each is part of a unit of work."""

from __future__ import annotations

import json

import apsw

from mediad.errors import printable
from mediad.keeping.dating import Date
from mediad.store.changes import DATE
from mediad.store.paths import under
from mediad.store.whereabouts import about_path

_NOT_THERE = (
    "no library is known to have such a file; if it was moved by hand, mediactl verify --accept with its old"
    " path finds it here, and mediactl adopt catalogues what is new"
)


def first_date(connection: apsw.Connection, arrival: int) -> Date | None:
    """The date that a file was filed by; None where it never got another one."""
    row = connection.execute(
        "SELECT change FROM step WHERE arrival = ? AND action = 'date' AND state = 'done'"
        " AND json_type(change, '$.was.tag') = 'text' ORDER BY id LIMIT 1",
        (arrival,),
    ).fetchone()
    if row is None:
        return None
    was = json.loads(row[0])["was"]
    return Date(*(was[name] for name in DATE))


def why_not(connection: apsw.Connection, path: bytes) -> str:
    """Why a path that is no library file's cannot be dated, and what to do."""
    for subject in about_path(connection, path):
        if subject.kind != "arrival":
            continue
        if (filed := _library_file(connection, subject.id)) is not None:
            return f"it lies in the library as {printable(filed)}: name that file"
        row = connection.execute("SELECT outcome, reason FROM arrival WHERE id = ?", (subject.id,)).fetchone()
        assert row is not None
        outcome, reason = row
        if outcome is not None and outcome != "filed":
            return f"it is not in the library: {outcome}{f' ({reason})' if reason else ''}"
    return _NOT_THERE


def _library_file(connection: apsw.Connection, arrival: int) -> bytes | None:
    row = connection.execute(
        "SELECT library.path, file.path FROM step JOIN file ON file.step = step.id"
        " JOIN library ON library.id = file.library WHERE step.arrival = ? AND NOT file.missing"
        " ORDER BY file.id DESC LIMIT 1",
        (arrival,),
    ).fetchone()
    return None if row is None else under(*row)
