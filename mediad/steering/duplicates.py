"""`mediactl duplicates`: library files that have the same content, and which of them is the best."""

from __future__ import annotations

import functools

import anyio.to_thread

from mediad.control.protocol import InvalidParameter, path_fields
from mediad.steering.fields import limited
from mediad.store.copies import Group, groups, unread
from mediad.store.reading import Reader

_PAGE = 500
_LONGEST_PAGE = 1000


async def duplicates(reader: Reader, after: str | None = None, limit: int | None = None) -> dict[str, object]:
    """The reply to `Duplicates`: groups of exact copies.

    Args:
        after: the `next` of the page before.

    Raises:
        InvalidParameter: `after` is no such thing.
    """
    try:
        on: bytes | None = bytes.fromhex(after or "")
    except ValueError as error:
        raise InvalidParameter("after") from error
    most = limited(limit, _PAGE, _LONGEST_PAGE)
    found: list[Group] = []
    while on is not None and len(found) < most:
        more, on = await reader.run(functools.partial(groups, after=on, limit=most - len(found)))
        found += more
    return {
        "groups": await anyio.to_thread.run_sync(lambda: [_told(group) for group in found]),
        "next": None if on is None else on.hex(),
        "unread": await reader.run(unread),
    }


def _told(group: Group) -> dict[str, object]:
    return {
        "kind": "exact",
        "distance": 0,
        **path_fields("best", min(group.files, key=lambda file: file.rank).path),
        "files": [
            {**path_fields("path", file.path), "digest": group.digest.hex(), "size": file.size}
            for file in group.files
        ],
    }
