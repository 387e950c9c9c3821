"""Steps that may be taken back, and what has to be known for that. Each is part of a unit of work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from mediad.keeping.change import Bond, Kept, Spot, Taken
from mediad.layout import key_of
from mediad.store import kept
from mediad.store.changes import DATE
from mediad.store.left import RETRIED, scopes
from mediad.store.reading import WINDOW
from mediad.store.whereabouts import Subject, splits

# What is passed over, 'leave', moved nothing.


_SET = """
SELECT step.id, step.item, step.action, step.arrival,
    coalesce(step.moved_size, arrival.size), coalesce(step.moved_digest, arrival.digest),
    arrival.outcome, arrival.code, arrival.reason, arrival.stays,
    step.origin, origin.path, step.source,
    coalesce(place.root, batch.root), arrival.path, coalesce(place.identity, ''),
    step.library, library.path, step.destination,
    step.change, step.keeps, step.undone IS NOT NULL,
    (SELECT id FROM step AS later WHERE later.arrival = step.arrival AND later.id > step.id
        AND later.state = 'done' AND later.undone IS NULL AND later.action <> 'leave'
        AND (later.action <> 'undo' OR later.undoes < step.id) -- else it took back what came after this one,
        -- or only went along with its principal
        ORDER BY id DESC LIMIT 1)
FROM step
JOIN arrival ON arrival.id = step.arrival
JOIN batch ON batch.id = step.batch
LEFT JOIN place ON place.key = arrival.watch
LEFT JOIN library ON library.id = step.library
LEFT JOIN library AS origin ON origin.id = step.origin
WHERE step.item = ? AND +step.batch = ? AND step.state = 'done' AND step.action <> 'leave'
ORDER BY step.id"""


def sets(connection: apsw.Connection, heads: Sequence[tuple[int, int]]) -> list[list[Taken]]:
    """The steps of these sets, each named by its item and batch."""
    return [[_taken(connection, row) for row in list(connection.execute(_SET, head))] for head in heads]


def around(connection: apsw.Connection, steps: Sequence[Taken]) -> list[Kept]:
    """The library files of the sets of those of these steps that moved what libraries had."""
    bonds = [step.bond_was for step in steps if not step.undone and step.bond_was is not None]
    items = dict.fromkeys(bond.item for bond in bonds if bond.item is not None)
    return [one for item in items for one in kept.of_item(connection, item)]


def _taken(connection: apsw.Connection, row: Sequence[Any]) -> Taken:
    id_, item, action, arrival, size, digest, outcome, code, reason, stays, *places = row
    origin, origin_root, source, root, path, identity, library, library_root, destination, *rest = places
    change, keeps, undone, later = rest
    told = json.loads(change) if change is not None else {"was": {}, "bond": None}
    own = Spot(None, root, path, identity)
    place, by_step = _place(own, library, library_root, destination), id_
    if place is not None and (moved := _moved(connection, arrival, own)) is not None:
        place, by_step = moved
    if code == RETRIED:  # redone and then taken back once more, it has to be asked for anew
        code = "undone"
    bond, state = None, {"outcome": outcome, "code": code, "reason": reason, "stays": stays}
    came = own if origin is None else Spot(origin, origin_root, source)
    if place is not None and place.public:
        place, bond = _in_library(connection, place, by_step)
    if "taken" in told["was"]:
        state |= _date(connection, arrival)
    dates = destination is None and _root_action(connection, id_, action) == "date"
    if dates:  # the file lies wherever it was put before, or since
        place = None
        came, bond = _where_now(connection, arrival) or (came, Bond(*told["bond"]))
    by = connection.execute("SELECT id, action FROM step WHERE id = ?", (later,)).fetchone()
    return Taken(
        *(id_, item, action, arrival, size, digest or b""),
        state=state,
        source=came,
        own=own,
        place=place,
        bond=bond,
        was=told["was"],
        bond_was=Bond(*told["bond"]) if told["bond"] else None,
        keeps=bool(keeps),
        undone=bool(undone),
        later=(by[0], by[1]) if by else None,
        holder=_holder(connection, digest, size, place),
        dates=dates,
        becomes=Bond(*told["becomes"]) if told.get("becomes") else None,
    )


def _place(own: Spot, library: int | None, root: bytes | None, destination: bytes | None) -> Spot | None:
    if destination is None:
        return None
    return own if library is None or root is None else Spot(library, root, destination)


def _moved(connection: apsw.Connection, arrival: int, own: Spot) -> tuple[Spot, int] | None:
    """Where the last step put the file, and that step: what is undone twice lies elsewhere in trash than it
    did at first.
    """
    row = connection.execute(
        "SELECT step.id, step.library, library.path, step.destination FROM step"
        " LEFT JOIN library ON library.id = step.library"
        " WHERE arrival = ? AND state = 'done' AND action NOT IN ('leave', 'expire')"
        " AND destination NOT NULL"
        " ORDER BY step.id DESC LIMIT 1",
        (arrival,),
    ).fetchone()
    spot = _place(own, *row[1:]) if row is not None else None
    return None if spot is None or row is None else (spot, row[0])


def _in_library(connection: apsw.Connection, place: Spot, step: int) -> tuple[Spot, Bond | None]:
    """Where the file is now that a step brought into a library: somebody may have moved it, and said so."""
    row = connection.execute("SELECT path, role, item, step FROM file WHERE step = ?", (step,)).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT path, role, item, step FROM file WHERE library = ? AND name_key = ? AND path = ?",
            (place.library, key_of(place.path), place.path),
        ).fetchone()
    if row is None:
        return place, None
    return place._replace(path=row[0]), Bond(*row[1:])


def _root_action(connection: apsw.Connection, step: int, action: str) -> str:
    """What was done first of what a step takes back, or the step itself has done."""
    while action == "undo":
        row = connection.execute(
            "SELECT under.id, under.action FROM step JOIN step AS under ON under.id = step.undoes"
            " WHERE step.id = ?",
            (step,),
        ).fetchone()
        if row is None or row[0] >= step:  # what a step undoes came before it
            break
        step, action = row
    return action


def _date(connection: apsw.Connection, arrival: int) -> dict[str, object]:
    """The date that a file has now, as `keeping.dating.Date` names its parts."""
    row = connection.execute(
        "SELECT taken, offset_min, source, confidence, coalesce(told ->> '$.tag', ''),"
        " coalesce(told ->> '$.date_note', ''), coalesce(told ->> '$.sidecar', '') FROM"
        " (SELECT *, iif(json_valid(evidence), evidence, '{}') AS told FROM arrival WHERE id = ?)",
        (arrival,),
    ).fetchone()
    assert row is not None
    return dict(zip(DATE, row, strict=True))


def _where_now(connection: apsw.Connection, arrival: int) -> tuple[Spot, Bond] | None:
    """The library file that an arrival is now, if it is one."""
    row = connection.execute(
        "SELECT file.library, library.path, file.path, file.role, file.item, file.step FROM step"
        " JOIN file ON file.step = step.id JOIN library ON library.id = file.library"
        " WHERE step.arrival = ? ORDER BY file.id DESC LIMIT 1",
        (arrival,),
    ).fetchone()
    return None if row is None else (Spot(*row[:3]), Bond(*row[3:]))


def _holder(connection: apsw.Connection, digest: bytes | None, size: int, place: Spot | None) -> Spot | None:
    rows = connection.execute(
        "SELECT file.library, library.path, file.path FROM file JOIN library ON library.id = file.library"
        " WHERE digest = ? AND size = ? AND NOT missing ORDER BY file.id LIMIT 2",
        (digest, size),
    )
    return next((Spot(*row) for row in list(rows) if Spot(*row) != place), None)


def heads_of_batch(connection: apsw.Connection, batch: int, before: int) -> tuple[list[tuple[int, int]], int]:
    """The sets of a batch, the newest first, as far as one window shows them.

    Args:
        before: only those of a lower item than this.

    Returns:
        their items and batch; where to go on, 0 at the end.
    """
    rows = connection.execute(
        "SELECT id FROM step WHERE batch = ? AND id = item AND id < ? AND state = 'done'"
        " ORDER BY id DESC LIMIT 200",
        (batch, before),
    )
    found = [(row[0], batch) for row in rows]
    return found, found[-1][0] if len(found) == 200 else 0


def heads_since(connection: apsw.Connection, since: int, before: int) -> tuple[list[tuple[int, int]], int]:
    """The same of all that was done since then, but for what took something back; see `heads_of_batch`.

    Args:
        since: microseconds since the epoch.
    """
    start = before - WINDOW
    rows = connection.execute(
        "SELECT id, batch FROM step WHERE id < ? AND id >= ? AND id = item AND state = 'done' AND time >= ?"
        " AND action NOT IN ('undo', 'expire') ORDER BY id DESC",
        (before, start, since),
    )
    return [(row[0], row[1]) for row in rows], max(start, 0)


def newest_id(connection: apsw.Connection) -> int:
    """The highest id of a step, 0 where there is none."""
    row = connection.execute("SELECT coalesce(max(id), 0) FROM step").fetchone()
    assert row is not None
    return int(row[0])


def latest_batch(connection: apsw.Connection) -> int | None:
    """The latest batch of which something stands that can be taken back; None if there is none.

    What a library brought along was done elsewhere, and is taken back only by its number.
    """
    row = connection.execute(
        "SELECT id FROM batch WHERE watch NOT IN ('undo', 'expire') AND NOT carried AND EXISTS ("
        " SELECT 1 FROM step WHERE step.batch = batch.id AND state = 'done' AND undone IS NULL"
        " AND action <> 'leave') ORDER BY started DESC, id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else int(row[0])


class Numbered(NamedTuple):
    """What a number names; both for one only in journals from before numbers named one thing."""

    batch: int | None
    head: tuple[int, int] | None


def numbered(connection: apsw.Connection, number: int) -> Numbered:
    """The batch or the set that has this number."""
    batch = connection.execute("SELECT id FROM batch WHERE id = ?", (number,)).fetchone()
    step = connection.execute("SELECT item, batch FROM step WHERE id = ?", (number,)).fetchone()
    return Numbered(batch[0] if batch else None, (step[0], step[1]) if step else None)


def head_of(connection: apsw.Connection, subject: Subject) -> tuple[int, int] | None:
    """The set of the last step that stands and that moved this file, but for what took something back."""
    if subject.kind != "arrival":
        return None
    row = connection.execute(
        "SELECT item, batch FROM step WHERE arrival = ? AND state = 'done' AND undone IS NULL"
        " AND action NOT IN ('leave', 'undo', 'expire') ORDER BY id DESC LIMIT 1",
        (subject.id,),
    ).fetchone()
    return (row[0], row[1]) if row else None


# --- Folders -----------------------------------------------------------------------------------------


_BELOW = 2000  # rows that one question looks at

_LAST = """LEFT JOIN step AS head ON head.id = (
    SELECT id FROM step AS last WHERE last.arrival = {} AND state = 'done' AND undone IS NULL
        AND action NOT IN ('leave', 'undo', 'expire') ORDER BY id DESC LIMIT 1)"""
_WALKS = {  # each along an index
    "arrival": f"""SELECT arrival.path, arrival.id, head.item, head.batch
        FROM arrival {_LAST.format("arrival.id")}
        WHERE watch = :home AND (arrival.path, arrival.id) > (:key, :id) AND (:end IS NULL OR path < :end)
        ORDER BY arrival.path, arrival.id LIMIT :limit""",  # noqa: S608
    "file": f"""SELECT file.name_key, file.id, head.item, head.batch
        FROM file JOIN step AS came ON came.id = file.step {_LAST.format("came.arrival")}
        WHERE file.library = :home AND (name_key, file.id) > (:key, :id)
            AND (:end IS NULL OR name_key < :end) AND substr(path, 1, length(:folder)) = :folder
            AND NOT missing
        ORDER BY name_key, file.id LIMIT :limit""",  # noqa: S608
    "trashed": """SELECT source, id, item, batch FROM step
        WHERE origin = :home AND (source, id) > (:key, :id) AND (:end IS NULL OR source < :end)
            AND action = 'trash' AND state = 'done' AND undone IS NULL
        ORDER BY source, id LIMIT :limit""",
}


class Walk(NamedTuple):
    """How far a walk over what is recorded below a folder has come.

    Attributes:
        rows: which. home: a watch's key or a library's row. folder: below that, with its slash; b"" for all.
        key, id: the last row that was looked at.
    """

    rows: str
    home: str | int
    folder: bytes
    key: bytes = b""
    id: int = 0


def walks_below(connection: apsw.Connection, path: bytes) -> list[Walk]:
    """What has to be walked to find all that came from below an absolute folder, lies there, or was moved
    from there to trash.
    """
    folder = path.rstrip(b"/") + b"/"
    found = [
        Walk("arrival", scope.watch, scope.path and scope.path + b"/") for scope in scopes(connection, folder)
    ]
    for root, rest in splits(folder):
        for (library,) in list(connection.execute("SELECT id FROM library WHERE path = ?", (root,))):
            found += [Walk("file", library, rest), Walk("trashed", library, rest)]
    return found


def heads_below(connection: apsw.Connection, walk: Walk) -> tuple[set[tuple[int, int]], Walk | None]:
    """The sets of the last steps that stand, as `head_of`, and where to go on; None at the end."""
    start = key_of(walk.folder) if walk.rows == "file" else walk.folder
    rows: list[tuple[Any, ...]] = connection.execute(
        _WALKS[walk.rows],
        {
            "home": walk.home,
            "folder": walk.folder,
            "key": max(walk.key, start),
            "id": walk.id,
            "end": start[:-1] + b"0" if start else None,  # which comes next after a slash
            "limit": _BELOW,
        },
    ).fetchall()
    heads = {(item, batch) for _, _, item, batch in rows if item is not None}
    if len(rows) < _BELOW:
        return heads, None
    key, id_, *_ = rows[-1]
    return heads, walk._replace(key=key, id=id_)
