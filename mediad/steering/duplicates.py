"""`mediactl duplicates`: library files with the same content, or that look alike, and the best of them."""

from __future__ import annotations

import functools

import anyio.to_thread

from mediad.control.protocol import InvalidParameter, path_fields
from mediad.steering.fields import limited
from mediad.steering.lookalikes import payloads, similar
from mediad.store.copies import Group, groups, unread
from mediad.store.reading import Reader

_PAGE = 500
_LONGEST_PAGE = 1000

# What `after` begins with, in the order in which the kinds of groups come; exact ones have a digest alone.
_PAYLOAD, _SIMILAR = "payload:", "similar:"

_Groups = list[dict[str, object]]


async def duplicates(
    reader: Reader,
    after: str | None = None,
    limit: int | None = None,
    *,
    farthest: int | None = None,
    to_analyse: int | None = None,
) -> dict[str, object]:
    """The reply to `Duplicates`: groups of exact copies, and of look-alikes.

    Args:
        after: the `next` of the page before.
        farthest: how far apart look-alikes may be; None: exact copies only.
        to_analyse: library files that are still to be compared; None: that is switched off.

    Raises:
        InvalidParameter: `after` is no such thing.
    """
    most = limited(limit, _PAGE, _LONGEST_PAGE)
    on: str | None = after or ""
    found: _Groups = []
    while on is not None and len(found) < most:
        more, on = await _next(reader, on, most - len(found), farthest)
        found += more
    return {
        "groups": found,
        "next": on,
        "unread": await reader.run(unread),
        "to_analyse": to_analyse,
    }


async def _next(reader: Reader, on: str, limit: int, farthest: int | None) -> tuple[_Groups, str | None]:
    """Some of the next groups, and where to go on; None at the end.

    Raises:
        InvalidParameter: nothing goes on there.
    """
    try:
        if on.startswith(_SIMILAR) and farthest is not None:
            told, number = await similar(reader, _number(on.removeprefix(_SIMILAR)), limit, farthest)
            return told, None if number is None else f"{_SIMILAR}{number}"
        if on.startswith(_PAYLOAD) and farthest is not None:
            told, payload = await payloads(reader, bytes.fromhex(on.removeprefix(_PAYLOAD)), limit)
            return told, f"{_SIMILAR}0" if payload is None else f"{_PAYLOAD}{payload.hex()}"
        told, digest = await _exact(reader, bytes.fromhex(on), limit)
    except ValueError as error:
        raise InvalidParameter("after") from error
    if digest is not None:
        return told, digest.hex()
    return told, None if farthest is None else _PAYLOAD


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(text)
    return int(text)


async def _exact(reader: Reader, after: bytes, limit: int) -> tuple[_Groups, bytes | None]:
    found, on = await reader.run(functools.partial(groups, after=after, limit=limit))
    return await anyio.to_thread.run_sync(lambda: [_told(group) for group in found]), on


def _told(group: Group) -> dict[str, object]:
    return {
        "kind": "exact",
        "distance": 0,
        **path_fields("best", min(group.files, key=lambda file: file.rank).path),
        "files": [
            {
                **path_fields("path", file.path),
                "digest": group.digest.hex(),
                "size": file.size,
                "width": None,
                "height": None,
            }
            for file in group.files
        ],
        "omitted": 0,
    }
