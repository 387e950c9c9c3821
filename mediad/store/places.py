"""Where arrivals came from: the folders behind the names that `arrival.watch` has."""

from __future__ import annotations

from collections.abc import Mapping

import apsw

IMPORT = "import:"
"""With what the keys of imports begin, and no watch's name."""


def settle_watches(connection: apsw.Connection, watches: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Bring the places in line with the watches that are served now.

    A folder that is watched under another name keeps its arrivals; a name that stands for another folder
    begins anew, and its former arrivals are kept under a key of their own.

    Args:
        watches: root by name, of those that are being served.

    Returns:
        what was renamed: old and new name.
    """
    for name, root in watches.items():
        known = connection.execute("SELECT root FROM place WHERE key = ?", (name,)).fetchone()
        if known is not None and known[0] != root:
            _rename(connection, name, _former(connection, name), "former")
    renamed: list[tuple[str, str]] = []
    for name, root in watches.items():
        if connection.execute("SELECT 1 FROM place WHERE key = ?", (name,)).fetchone() is not None:
            continue
        before = connection.execute(
            "SELECT key FROM place WHERE root = ? AND kind <> 'import' AND key NOT LIKE 'library:%'"
            " ORDER BY kind = 'watch' DESC, key DESC",
            (root,),
        ).fetchall()
        old = next((str(key) for (key,) in before if key not in watches), None)
        if old is None:
            connection.execute("INSERT INTO place (key, kind, root) VALUES (?, 'watch', ?)", (name, root))
        else:
            _rename(connection, old, name, "watch")
            renamed.append((old, name))
    return renamed


def _former(connection: apsw.Connection, name: str) -> str:
    number = 1
    while connection.execute("SELECT 1 FROM place WHERE key = ?", (f"{name}@{number}",)).fetchone():
        number += 1
    return f"{name}@{number}"


def _rename(connection: apsw.Connection, old: str, new: str, kind: str) -> None:
    connection.execute("UPDATE place SET key = ?, kind = ? WHERE key = ?", (new, kind, old))
    connection.execute("UPDATE arrival SET watch = ? WHERE watch = ?", (new, old))
    connection.execute(
        "INSERT INTO tally SELECT ?, outcome, dismissed, files, bytes FROM tally WHERE watch = ?"
        " ON CONFLICT DO UPDATE SET files = files + excluded.files, bytes = bytes + excluded.bytes",
        (new, old),
    )
    connection.execute("DELETE FROM tally WHERE watch = ?", (old,))
    connection.execute("UPDATE batch SET watch = ? WHERE watch = ?", (new, old))


def import_place(connection: apsw.Connection, root: bytes) -> str:
    """The key of an import from this folder; the same folder has the same key each time."""
    row = connection.execute("SELECT key FROM place WHERE root = ? AND kind = 'import'", (root,)).fetchone()
    if row is not None:
        return str(row[0])
    count = connection.execute("SELECT count(*) FROM place WHERE kind = 'import'").fetchone()
    assert count is not None
    key = f"{IMPORT}{count[0] + 1}"
    connection.execute("INSERT INTO place (key, kind, root) VALUES (?, 'import', ?)", (key, root))
    return key
