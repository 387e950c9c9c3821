"""Jobs: sets are planned in one unit of work, and each plan becomes what place works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import apsw

from mediad.errors import LibraryMoved, PrincipalComing
from mediad.ingest import moves
from mediad.ingest.group import Job, Task, private_name
from mediad.ingest.kin import WINDOW
from mediad.ingest.plan import Waits
from mediad.ingest.stages import Stages
from mediad.media import siblings
from mediad.model import Held, Plan
from mediad.store import catalogue
from mediad.store.world import CatalogueWorld

if TYPE_CHECKING:
    from mediad.ingest.lane import Lane


def plan_group(stages: Stages, lane: Lane, helds: Sequence[Held], connection: apsw.Connection) -> list[Job]:
    """One unit of work, so that what the catalogue says and what is in flight fit together."""
    for held in helds:
        for member in held.set.members:
            stages.enter(member.sighting, "planning")
    since = stages.clock.micros() - WINDOW
    world = CatalogueWorld(connection, stages.shelves.readable(), since)
    jobs: list[Job] = []
    for held in helds:
        if any(catalogue.under_way(connection, member.sighting) for member in held.set.members):
            jobs.append(Job(held, Plan(held.set, ()), []))  # stranded: recovery has its story
            continue
        again = any(member.sighting.again for member in held.set.members)
        if not again and all(catalogue.touched(connection, member) for member in held.set.members):
            jobs.append(Job(held, Plan(held.set, ()), []))  # dealt with before, under other times
            continue
        try:
            plan = _planned(stages, held, world)
        except (LibraryMoved, PrincipalComing) as error:
            jobs.append(Job(held, Plan(held.set, ()), [], error=error))
            continue
        if isinstance(plan, Waits):
            stages.deferred.setdefault(plan.digest, []).append((lane, held))
        else:
            jobs.append(_job(stages, held, plan))
    return jobs


def _planned(stages: Stages, held: Held, world: CatalogueWorld) -> Plan | Waits:
    planner, principal = stages.planner, held.set.principal
    if principal.facts.kind == "sidecar":
        if stages.tracker.expects(principal.sighting):
            raise PrincipalComing("what it belongs to is not filed yet")
        return planner.plan_companion(principal, world, held.avoid)
    return planner.plan(siblings.dated(held.set, world.shots), world, held.avoid)


def _job(stages: Stages, held: Held, plan: Plan) -> Job:
    shelves = stages.shelves
    tasks: list[Task] = []
    for step in plan.steps:
        shelf = shelves.find(step.library)
        library = shelf.library if shelf is not None and shelf.readable else None
        if library is None:  # it went away just now
            return Job(held, plan, [], error=shelves.reason(step.library))
        id_ = stages.recorder.next_id()
        name = step.destination
        if name is not None and step.action in ("trash", "quarantine"):
            name = private_name(name, id_)
        sighting = step.identity.sighting
        fd, digest = held.fds[sighting.path], step.identity.digest
        source = moves.Source(fd, sighting.place, sighting.stat, digest, held.lease)
        item = tasks[0].item if tasks else id_
        meter = stages.enter(sighting, "planning")
        tasks.append(Task(id_, item, step, source, sighting.root, library, name, meter))
    proofs = (plan.witness, *(step.proof for step in plan.steps))
    home = next((one.library for one in proofs if one is not None), None)  # all are in one
    keeper = shelves.find(home) if home is not None else None
    witness = keeper.library if keeper is not None else None
    if home is not None and witness is None:
        return Job(held, plan, [], error=shelves.reason(home))
    return Job(held, plan, tasks, witness)
