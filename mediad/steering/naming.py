"""Which paths whoever calls may name, and the names under which their files are known."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mediad.control.calls import Call
from mediad.control.protocol import InvalidParameter, paths_from
from mediad.errors import NotPermitted
from mediad.ingest.pipeline import Pipeline
from mediad.steering.looking import is_below, known_name, plain_name, within_limit
from mediad.store.reading import Reader
from mediad.store.whereabouts import roots


def may_name(pipeline: Pipeline, call: Call, path: bytes) -> None:
    """Members of the group may name what lies in watches and libraries, and nothing else.

    Raises:
        NotPermitted: this peer may not name this path.
    """
    if call.peer.trusted:
        return
    plain = plain_name(path)
    folders = (os.fsencode(root.path) for root in pipeline.config.roots())
    if not any(is_below(plain, folder) for folder in folders):
        raise NotPermitted("lies in no watch and no library", path=path, remedy="root may name any path")


async def named(pipeline: Pipeline, reader: Reader, call: Call) -> list[bytes]:
    """The paths that a call names, by the names under which their files are known.

    Raises:
        NotPermitted: this peer may not name one of them. InvalidParameter: one is not absolute.
    """
    paths = paths_from(call.parameters)
    if not all(path.startswith(b"/") for path in paths):
        raise InvalidParameter("paths")
    for path in paths:
        may_name(pipeline, call, path)
    return await known_names(reader, call, paths)


async def known_names(reader: Reader, call: Call, paths: Sequence[bytes]) -> list[bytes]:
    """Absolute paths by those names; as they are, but for dots, where that cannot be told."""
    plain = list(map(plain_name, paths))
    if not call.peer.trusted:  # theirs lie below these folders as they stand
        return plain
    folders = await reader.run(roots)
    return await within_limit(lambda: [known_name(path, folders) for path in plain], plain)
