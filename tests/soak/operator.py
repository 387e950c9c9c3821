"""What is done to the daemon: commands, kills, restarts, other configurations, mounts, clocks, disks."""

from __future__ import annotations

import base64
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

from mediad.control.protocol import Failed
from tests.answering import DEFINITION
from tests.crash.killing import LIMIT, Died, Reply
from tests.soak.checks import unkept
from tests.soak.user import User
from tests.soak.world import LIBRARIES, WATCHES, World

DAY = 86_400
_STOPPED = (0, -signal.SIGTERM, -signal.SIGKILL)  # by SIGTERM if it had not begun yet to listen to that
_JUMPS = (-400 * DAY, -3600, 3600, 40 * DAY, 400 * DAY)  # seconds


class Wrong(Exception):
    """The daemon has broken a promise."""


class Operator:
    """Somebody at the terminal. See `user.User` for what deeds return."""

    def __init__(self, world: World, user: User) -> None:
        self.world = world
        self.user = user
        self.kills = 0
        self._cards = 0

    def call(self, method: str, /, **parameters: object) -> str:
        """Ask the daemon, which may refuse, or die of it."""
        self.be_up()
        try:
            reply = self.world.daemon.call(method, **parameters)
        except Died:
            self.buried()
            return f"{method} {parameters}: it died"
        except Failed as error:
            return f"{method} {parameters}: {error.error.rpartition('.')[2]}"
        DEFINITION.check_reply(method, reply)
        return f"{method} {parameters}"

    def be_up(self) -> None:
        """See that there is a daemon."""
        daemon = self.world.daemon
        if daemon.pid and not daemon.alive:
            self.buried()
        if not daemon.pid:
            daemon.start()

    def buried(self) -> None:
        """It has ended, and may have by a kill only."""
        code = self.world.daemon.ended()
        self.kills += 1
        if code != -signal.SIGKILL:
            raise Wrong(f"the daemon ended with {code}")

    # -- its life ---------------------------------------------------------------------------------------

    def kill(self, rng: random.Random) -> str:
        self.be_up()
        self.world.daemon.kill()
        self.kills += 1
        return "kill"

    def kill_later(self, rng: random.Random) -> str:
        """It dies at an operation that is still to come."""
        self.be_up()
        operations = rng.randint(1, 60)
        self.world.daemon.board.arm(operations)
        return f"kill in {operations} operations"

    def restart(self, rng: random.Random) -> str:
        self._stop()
        return "stop"

    def _stop(self) -> None:
        self.be_up()
        daemon = self.world.daemon
        daemon.board.arm(0)
        if daemon.alive and (code := daemon.stop()) not in _STOPPED:
            raise Wrong(f"a stop ended with {code}")
        if daemon.pid:
            self.buried()

    # -- commands ---------------------------------------------------------------------------------------

    def ask(self, rng: random.Random) -> str:
        """A question."""
        method = rng.choice(("Status", "History", "Queue", "Failures", "Duplicates"))
        return self.call(method)

    def look(self, rng: random.Random) -> str:
        return self.call("Scan")

    def wait(self, rng: random.Random) -> str:
        return self.call("Wait", timeout_s=0.3)

    def pause(self, rng: random.Random) -> str:
        return self.call("Pause", names=rng.choice((None, [rng.choice([*WATCHES, *LIBRARIES])])))

    def resume(self, rng: random.Random) -> str:
        return self.call("Resume")

    def retry(self, rng: random.Random) -> str:
        return self.call("Retry", unparsed=rng.random() < 0.3)

    def dismiss(self, rng: random.Random) -> str:
        return self.call("Dismiss")

    def bring(self, rng: random.Random) -> str:
        """A card is imported, and perhaps wiped if that is safe."""
        self._cards += 1
        card = self.world.cards / str(self._cards)
        for _ in range(rng.randint(1, 4)):
            for path, content in self.user.maker.load(rng).items():
                whole = os.path.join(os.fsencode(card), path)
                os.makedirs(os.path.dirname(whole), exist_ok=True)
                with open(whole, "wb") as stream:
                    stream.write(content)
        said = self.call("Import", paths=[str(card)], library=rng.choice(LIBRARIES))
        return f"{said}; {self._wipe(card)}"

    def _wipe(self, card: Path) -> str:
        if "SafeToWipe" not in DEFINITION.methods:
            return ""
        self.be_up()
        try:
            reply = self.world.daemon.call("SafeToWipe", paths=[os.fspath(card)])
        except Died:
            self.buried()
            return "it died"
        except Failed as error:
            return f"not to be wiped: {error.error}"
        if reply["safe"] and (lost := unkept(self.world, card)):
            raise Wrong(f"safe to wipe, said it, but of {lost} there is no copy")
        return f"safe to wipe: {reply['safe']}"

    # -- files that the libraries have ------------------------------------------------------------------

    def change(self, rng: random.Random) -> str:
        """Trash, refile, undo or prune."""
        path = base64.b64encode(self.user.library_file(rng)).decode("ascii")
        calls: list[tuple[str, dict[str, object]]] = [
            ("Trash", {"paths_b64": [path]}),
            ("Undo", {}),
            ("Undo", {"paths_b64": [path]}),
            ("Refile", {"library": rng.choice(LIBRARIES)}),
            ("Refile", {"paths_b64": [path]}),
            ("Prune", {}),
            ("Verify", {}),
        ]
        method, parameters = rng.choice([one for one in calls if one[0] in DEFINITION.methods])
        return self.call(method, **parameters) if path else ""

    # -- the machine ------------------------------------------------------------------------------------

    def reload(self, rng: random.Random) -> str:
        """Another configuration."""
        settings = self.world.settings
        library, watch = rng.choice(LIBRARIES), rng.choice(list(WATCHES))
        change: Callable[[], None] = rng.choice(
            (
                lambda: settings["library"][library].update(layout="{taken:%Y}/{kind}/{name}"),
                lambda: settings["library"][library].update(min_free="900TB"),
                lambda: settings["watch"][watch].update(settle=rng.choice(("0s", "50ms", "1s"))),
                lambda: settings["watch"][watch].update(polling=rng.choice(("on", "auto"))),
                lambda: settings["duplicates"].update(exact=rng.choice(("trash", "leave"))),
                lambda: settings["watch"].pop(watch, None),
            )
        )
        self.world.restore()
        settings = self.world.settings
        change()
        self.world.configure()
        return self.call("Reload")

    def reload_nonsense(self, rng: random.Random) -> str:
        """A configuration that is refused, and then put right."""
        self.world.settings["watch"][rng.choice(list(WATCHES))] = {"action": "nonsense"}
        self.world.configure()
        try:
            return self.call("Reload") if self.world.daemon.alive else ""
        finally:
            self.world.restore()

    def go(self, rng: random.Random) -> str:
        """A watch or library goes away."""
        name = rng.choice(list(self.world.places))
        self.world.places[name].go()
        return f"{name} goes"

    def come(self, rng: random.Random) -> str:
        name = rng.choice(list(self.world.places))
        self.world.places[name].come()
        return f"{name} is here"

    def jump(self, rng: random.Random) -> str:
        """The wall clock jumps."""
        seconds = rng.choice(_JUMPS)
        self.world.daemon.board.ahead += seconds * 10**9
        return f"the clock jumps by {seconds} s"

    def fill(self, rng: random.Random) -> str:
        self.world.fill()
        return "the disk is full"

    def empty(self, rng: random.Random) -> str:
        self.world.empty()
        return "the disk has room"

    # -- rest -------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """All is as it should be, and the daemon has done all that it can."""
        self.world.empty()
        for place in self.world.places.values():
            place.come()
        self.user.finish()
        self.world.restore()
        self.be_up()
        self.world.daemon.board.arm(0)
        for method in ("Reload", "Resume", "Scan", "Retry"):
            self.call(method)
        if self._waited()["result"] == "held":  # for a minute after the library was back; a start is quicker
            self._stop()
        if (waited := self._waited())["result"] != "idle":
            queue = self.world.daemon.call("Queue")["files"]
            raise Wrong(f"it does not come to rest: {waited} {queue}")

    def _waited(self) -> Reply:
        self.be_up()
        self.world.daemon.board.arm(0)
        return self.world.daemon.call("Wait", timeout_s=LIMIT)
