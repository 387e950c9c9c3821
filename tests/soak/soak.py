"""The schedule of a soak: deeds chosen by a seed, and now and then a rest, at which everything is checked."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.crash.killing import Died, Nursery
from tests.soak import checks
from tests.soak.contents import Known
from tests.soak.operator import Operator, Wrong
from tests.soak.user import User
from tests.soak.world import World, worlds

SHOWN = 50  # of the newest deeds, when something is wrong
_BETWEEN_RESTS = (5, 30)  # deeds

Deed = Callable[[random.Random], str]


@dataclass
class Told:
    """What a soak did.

    Attributes:
        deeds: how often each was done. wrong: what was wrong at the rest that ended it.
        memory, descriptors: the most that the daemon ever had at a rest.
    """

    seed: int
    deeds: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    rests: int = 0
    lives: int = 0
    kills: int = 0
    contents: int = 0
    memory: int = 0
    descriptors: int = 0
    wrong: list[str] = field(default_factory=list)
    newest: list[str] = field(default_factory=list)
    log: str = ""

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.steps} deeds, {self.contents} contents, {self.lives} lives, "
            f"{self.kills} kills, {self.rests} rests, at most {self.memory >> 20} MiB and "
            f"{self.descriptors} open files, {len(self.wrong)} wrong"
        )

    def report(self) -> str:
        """What is needed to find out why something is wrong."""
        return "\n".join((self.log, *self.newest, *self.wrong, str(self)))


class Soak:
    """One run.

    Args:
        seed: decides every choice.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.known = Known()
        self.user = User(world, self.known)
        self.operator = Operator(world, self.user)
        self.told = Told(seed)
        self._deeds = dict(_weighted(self.user, self.operator))

    def run(self, seconds: float, steps: int = sys.maxsize) -> Told:
        """Go on for so long, or so many steps, or until a rest shows that something is wrong."""
        end = time.monotonic() + seconds
        try:
            while not self.told.wrong and time.monotonic() < end and self.told.steps < steps:
                for _ in range(random.Random(f"{self.told.seed} {self.told.steps}").randint(*_BETWEEN_RESTS)):
                    self._step()
                self._rest()
        except Wrong as error:
            self.told.wrong.append(str(error))
        self.told.lives, self.told.kills = self.world.daemon.lives, self.operator.kills
        self.told.contents = len(self.known.all)
        self.told.log = self.world.daemon.log.read_text("utf-8", "backslashreplace")[-6000:]
        return self.told

    def _step(self) -> None:
        """What is done depends on the seed and the step's number alone."""
        rng = random.Random(f"{self.told.seed}/{self.told.steps}")
        deed = rng.choices(list(self._deeds), list(self._deeds.values()))[0]
        said = deed(rng)
        self.told.deeds[deed.__name__] += bool(said)
        self._say(f"{self.told.steps}: {said or deed.__name__ + ': nothing to do'}")
        self.told.steps += 1

    def _say(self, what: str) -> None:
        self.told.newest = [*self.told.newest[1 - SHOWN :], what]

    def _rest(self) -> None:
        try:
            self.operator.heal()
            rest = checks.Rest(self.world, self.user)
        except Died:
            raise Wrong("the daemon died while nobody killed it") from None
        self.told.rests += 1
        memory, descriptors = checks.size(self.world.daemon.pid)
        self.told.memory = max(memory, self.told.memory)
        self.told.descriptors = max(descriptors, self.told.descriptors)
        self.told.wrong = list(checks.wrong(rest))
        self._say(f"rest: {rest.status['totals']}")


def _weighted(user: User, operator: Operator) -> Iterator[tuple[Deed, int]]:
    """What is done, and how often."""
    yield from ((user.drop, 40), (user.drop_slowly, 5), (user.go_on, 5))
    yield from ((user.edit, 5), (user.delete, 3), (user.rename, 5), (user.copy_in_library, 2))
    yield from ((user.replace_by_link, 3), (user.replace_folder_by_link, 1))
    yield from ((operator.kill, 3), (operator.kill_later, 6), (operator.restart, 2))
    yield from ((operator.ask, 3), (operator.look, 2), (operator.wait, 15), (operator.change, 8))
    yield from ((operator.pause, 2), (operator.resume, 2), (operator.retry, 2), (operator.dismiss, 1))
    yield from ((operator.bring, 2), (operator.reload, 4), (operator.reload_nonsense, 1), (operator.jump, 2))
    yield from ((operator.go, 3), (operator.come, 5), (operator.fill, 2), (operator.empty, 4))


def soak(seed: int, seconds: float, *, steps: int = sys.maxsize, keep: bool = False) -> Told:
    """A whole run in a world of its own."""
    with Nursery() as nursery, worlds(nursery, keep=keep) as world:
        return Soak(world, seed).run(seconds, steps)
