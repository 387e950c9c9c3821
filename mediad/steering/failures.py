"""`mediactl failures`: what failed or is quarantined, and what to type."""

from __future__ import annotations

import functools
import os
import pwd

import anyio.to_thread

from mediad.control.protocol import path_fields, time_text
from mediad.errors import NotPermitted
from mediad.media.wire import READING_FAILED
from mediad.shell import word
from mediad.steering.fields import limited
from mediad.store.reading import Reader
from mediad.store.troubles import Troubled, troubles

_PAGE = 500
_LONGEST_PAGE = 1000


async def failures(reader: Reader, after: int | None = None, limit: int | None = None) -> dict[str, object]:
    """The reply to `Failures`: oldest first.

    Args:
        after: the `next` of the page before.
    """
    most = limited(limit, _PAGE, _LONGEST_PAGE)
    found = await reader.run(functools.partial(troubles, after=after or 0, limit=most + 1))
    page = found[:most]
    told = await anyio.to_thread.run_sync(lambda: [_failure(trouble) for trouble in page])
    return {"files": told, "next": page[-1].id if len(found) > most else None}


def _failure(trouble: Troubled) -> dict[str, object]:
    return {
        "id": trouble.id,
        **path_fields("path", trouble.source or trouble.path),
        "watch": trouble.origin,
        "outcome": trouble.outcome,
        "code": trouble.code,
        "reason": trouble.reason + _permission(trouble),
        "since": time_text(trouble.since),
        "size": trouble.size,
        **path_fields("place", trouble.place),
        "command": command(trouble),
    }


def command(trouble: Troubled) -> str:
    """What to type about a file in trouble.

    An import is run again as a whole. A file whose content nobody could read is only helped by filing it
    unread; one that the system could not read may be readable now.
    """
    path = word(trouble.source or trouble.path)
    if trouble.kind == "import" and trouble.root is not None:
        return f"mediactl why {path}" if _unreadable(trouble) else f"mediactl import {word(trouble.root)}"
    return f"mediactl retry --unparsed {path}" if _unreadable(trouble) else f"mediactl retry {path}"


def _permission(trouble: Troubled) -> str:
    """What gives mediad the right to a file that it may not read; root has it, wherever it can be had."""
    user = os.geteuid()
    if trouble.code != NotPermitted.code or trouble.source is None or not user:
        return ""
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return f" (`setfacl -m u:{name}:r {word(trouble.source)}`, and u:{name}:x for the folders above it)"


def _unreadable(trouble: Troubled) -> bool:
    content = trouble.outcome == "quarantined" and trouble.code in ("unreadable", "recovered")
    return content and not trouble.reason.startswith(READING_FAILED)
