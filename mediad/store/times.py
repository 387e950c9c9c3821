"""The latest time that the catalogue knows. Each question is part of a unit of work."""

from __future__ import annotations

import apsw

# Batches have all of history in few rows; arrivals and steps without a batch are among the last.
_NEWEST = """
SELECT max(newest) FROM (
    SELECT max(started) AS newest FROM batch
    UNION ALL SELECT max(ended) FROM batch
    UNION ALL SELECT max(time) FROM (SELECT time FROM step ORDER BY id DESC LIMIT 1000)
    UNION ALL SELECT max(seen) FROM (SELECT seen FROM arrival ORDER BY id DESC LIMIT 1000)
)"""


def newest(connection: apsw.Connection) -> int:
    """When anything was recorded last, microseconds since the epoch; 0 where nothing ever was.

    It is the latest, not the last: what was recorded by a clock that was ahead stays ahead.
    """
    ((found,),) = connection.execute(_NEWEST).fetchall()
    return int(found or 0)
