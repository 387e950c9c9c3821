"""mediad.service in a booted machine, as the tests of the service steer and see it."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import tomli_w

from tests import samples
from tests.system.machine import Machine
from tests.trees import files

FILE = "/etc/mediad/config.toml"
INBOX = "/srv/mediad/inbox"
LIBRARY = "/srv/mediad/library"
DROP_INS = "/run/systemd/system/mediad.service.d"


class Service:
    """mediad.service of a machine, set up with one watch and one library."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.since = time.time()
        self.settings: dict[str, dict[str, Any]] = {
            "library": {"photos": {"path": LIBRARY, "min_free": "1MB"}},
            "watch": {"inbox": {"path": INBOX, "action": "move", "settle": "200ms"}},
            "daemon": {"group": "mediad"},
        }

    def configure(self) -> None:
        """Write the configuration file anew from `settings`."""
        self.machine.path(FILE).write_text(tomli_w.dumps(self.settings), encoding="utf-8")

    def drop_in(self, text: str) -> None:
        """Change the unit as `systemctl edit` would."""
        folder = self.machine.path(DROP_INS)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{len(list(folder.iterdir()))}.conf").write_text(text, encoding="ascii")
        self.machine.run("systemctl", "daemon-reload")

    def start(self) -> None:
        self.machine.run("systemctl", "start", "mediad")

    def stop(self) -> None:
        self.machine.run("systemctl", "stop", "mediad")
        assert self.show("Result") == "success"
        assert self.show("ExecMainStatus") == "0"

    def show(self, name: str) -> str:
        return self.machine.show("mediad", name)

    @property
    def pid(self) -> int:
        """The daemon's pid inside the machine; 0 while there is none."""
        return int(self.show("MainPID"))

    def wait_for(self, name: str, value: str) -> None:
        """Wait until a property of the unit has this value."""
        self.machine.wait_for(lambda: self.show(name) == value, f"{name} = {value}")

    def wait_for_restart(self, times: int = 1) -> None:
        self.wait_for("NRestarts", str(times))
        self.wait_for("ActiveState", "active")

    def messages(self) -> list[dict[str, Any]]:
        """The journal of this test: the daemon's entries, and systemd's about it."""
        entries = self.machine.journal("mediad")
        return [entry for entry in entries if int(entry["__REALTIME_TIMESTAMP"]) > self.since * 1e6]

    def message(self, pattern: str) -> dict[str, Any]:
        """The first such message, waited for."""
        found = self.machine.wait_for(
            lambda: [entry for entry in self.messages() if re.search(pattern, str(entry["MESSAGE"]))],
            f"a message like {pattern!r}",
        )
        return found[0]

    def put(self, name: str, seed: int = 0, *, folder: str = INBOX, user: str = "root") -> bytes:
        """Write a picture into the inbox, complete from its first moment; returns its content."""
        content = samples.jpeg(seed=seed)
        fresh = self.machine.path(f"{folder}/.{name}.tmp")
        fresh.write_bytes(content)
        if user != "root":
            uid, gid = (int(self.machine.run("id", option, user)) for option in ("-u", "-g"))
            os.chown(fresh, uid, gid)
        fresh.rename(fresh.with_name(name))
        return content

    def filed(self, content: bytes, library: str = LIBRARY) -> Path:
        """Wait until a file with this content is in the library; returns where it is, seen from here."""

        def found() -> list[bytes]:
            there = files(self.machine.path(library), without={b".mediad"})
            return [name for name, data in there.items() if data == content]

        return self.machine.path(library) / os.fsdecode(self.machine.wait_for(found, "the file is filed")[0])

    def status(self) -> dict[str, Any]:
        """What `mediactl status --json` says."""
        document: dict[str, Any] = json.loads(self.machine.run("mediactl", "--system", "status", "--json"))
        return document

    def watches(self) -> dict[str, dict[str, Any]]:
        return {watch["name"]: watch for watch in self.status()["watches"]}
