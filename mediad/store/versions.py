"""Which version of mediad the catalogue was last used by. Part of a unit of work.

A newer one may know formats that an older one did not: what was no media to that is asked about again.
"""

from __future__ import annotations

import apsw

from mediad import __version__


def taken_up(connection: apsw.Connection, version: str = __version__) -> None:
    """This version uses the catalogue from now on; what it judged to be no media before is not believed."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    if found is not None and found[0] == version:
        return
    ((last,),) = connection.execute("SELECT coalesce(max(id), 0) FROM arrival").fetchall()
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('version', ?)", (version,))
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('judged by older', ?)", (str(last),))
