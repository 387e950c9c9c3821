"""A library that is online is looked at as a whole again, for what other hands brought since."""

from __future__ import annotations

import functools

from mediad.files import library_error
from mediad.ingest import witnesses
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.roster import library_folder
from mediad.ingest.shelf import Shelf
from mediad.store.verifying import in_hand_since

_A_WHILE = 600_000_000  # microseconds; a step may take so long


async def notice(pipeline: Pipeline, shelf: Shelf) -> None:
    """See how a library is, and then what lies in it."""
    await pipeline.shelves.look(shelf)
    library = shelf.library
    if library is None or shelf.leaving or not (shelf.admitted and shelf.readable):
        return
    folder = library_folder(library.tree, pipeline.clock)
    ours = functools.partial(in_hand_since, since=pipeline.clock.micros() - _A_WHILE)
    stopping = pipeline.stages.stopping
    try:
        await witnesses.index(folder, shelf.id, pipeline.database, pipeline.clock, stopping, passed_over=ours)
    except OSError as error:
        if shelf.library is library:
            pipeline.shelves.fault(shelf, library_error(error, library.tree.root))
