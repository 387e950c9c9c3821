"""How many files there are, as triggers keep count of them. Each question is part of a unit of work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import apsw


@dataclass(frozen=True, slots=True)
class Tally:
    """Arrivals by what became of them, as they stand.

    Attributes:
        files: by outcome. bytes_filed: the size of those that are filed.
        troubled: failed and quarantined ones that were not dismissed, by outcome. imports: those of them
            that failed in imports.
        unprinted: library files that are to be compared with others and were not looked at, by library.
    """

    files: Mapping[str, int]
    bytes_filed: int
    troubled: Mapping[str, int]
    imports: int = 0
    unprinted: Mapping[int, int] = field(default_factory=dict, compare=False)


def tally(connection: apsw.Connection) -> Tally:
    """What has become of all that was ever seen; cheap, since triggers keep count.

    What was taken back and then taken again has two rows and counts once: that of the file that it was before
    is ignored and dismissed.
    """
    files: Counter[str] = Counter()
    troubled: Counter[str] = Counter()
    filed = imports = 0
    for outcome, dismissed, imported, count, size in connection.execute(
        "SELECT outcome, dismissed, watch LIKE 'import:%' AS imported, sum(files), sum(bytes) FROM tally"
        " WHERE watch NOT LIKE 'library:%' GROUP BY outcome, dismissed, imported"
    ):
        files[outcome] += 0 if outcome == "ignored" and dismissed else count
        filed += size if outcome == "filed" else 0
        if outcome in ("failed", "quarantined") and not dismissed:
            troubled[outcome] += count
            imports += count if imported and outcome == "failed" else 0
    return Tally(files, filed, troubled, imports, _backlog(connection))


def holdings(connection: apsw.Connection) -> dict[int, tuple[int, int]]:
    """How many files and bytes each library holds, by its row; cheap, since triggers keep count."""
    return {row[0]: (row[1], row[2]) for row in connection.execute("SELECT id, files, bytes FROM library")}


def _backlog(connection: apsw.Connection) -> dict[int, int]:
    return {
        row[0]: row[1] for row in connection.execute("SELECT library, files FROM backlog WHERE files > 0")
    }
