"""Readiness: may a group of sets go into its libraries now?"""

from __future__ import annotations

from mediad.errors import LibraryFull, LibraryMoved
from mediad.ingest.group import Group
from mediad.ingest.shelves import Shelves


async def libraries_ready(shelves: Shelves, group: Group) -> bool:
    """Look at the libraries of a group first: the cheapest moment to find one gone or full.

    Returns:
        whether anything is left to do; the other jobs have their errors.
    """
    for name in {task.library.name for job in group.jobs for task in job.tasks}:
        if (shelf := shelves.find(name)) is not None:
            await shelves.look(shelf)
        leave_behind(shelves, group)
        if shelf is None:
            continue
        room = shelf.room
        for job in group.jobs:
            need = sum(task.copy_size for task in job.tasks if task.library.name == name)
            if not any(task.library.name == name for task in job.tasks):
                continue
            if not shelf.takes:
                job.error = job.error or shelves.reason(name)
            elif need > room:
                path = job.held.set.principal.sighting.path
                job.error = job.error or LibraryFull(shelf.refuse(need, room), path=path)
            else:
                room -= need
    return any(job.error is None and job.tasks for job in group.jobs)


def leave_behind(shelves: Shelves, group: Group) -> bool:
    """Keep out of libraries that lie elsewhere by now, or that were opened anew; was there any?"""
    found = False
    for job in group.jobs:
        for task in job.tasks:
            shelf = shelves.find(task.library.name)
            if shelf is None or shelf.moved or shelf.library is not task.library:
                job.error = job.error or LibraryMoved("lies elsewhere by now", path=task.library.tree.root)
                found = True
    return found
