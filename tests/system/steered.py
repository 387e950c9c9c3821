"""The real daemon, steered as a user and as a program do: by the real mediactl, and over its socket.

Every reply that comes over the socket is held against the interface definition.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mediad.control.client import Client
from tests.answering import DEFINITION
from tests.system.daemon import LIMIT, Daemon

CTL = (sys.executable, "-m", "mediad.cli.ctl")

Reply = dict[str, Any]
Done = subprocess.CompletedProcess[str]


class Steered(Daemon):
    """A daemon under control."""

    @property
    def socket(self) -> str:
        return str(self.settings["daemon"]["socket"])

    # -- as a program ---------------------------------------------------------------------------------

    def call(self, method: str, /, **parameters: object) -> Reply:
        """The reply to a call."""
        with Client.connect([self.socket]) as client:
            reply = client.call(method, parameters, patience=LIMIT)
        assert DEFINITION.check_reply(method, reply) == reply
        return reply

    def stream(self, method: str, /, **parameters: object) -> Iterator[Reply]:
        """The replies to a call with "more", as they come."""
        with Client.connect([self.socket]) as client:
            for reply in client.stream(method, parameters):
                assert DEFINITION.check_reply(method, reply) == reply
                yield reply

    def status(self) -> Reply:
        return self.call("Status")

    def totals(self) -> dict[str, int]:
        """What became of all files, what became of none left out."""
        return {word: count for word, count in self.status()["totals"].items() if count}

    def watch(self, name: str) -> Reply:
        """What the status says of a watch."""
        return named(self.status()["watches"], name)

    def shelf(self, name: str) -> Reply:
        """What the status says of a library."""
        return named(self.status()["libraries"], name)

    def attention(self) -> list[str]:
        """The codes of what needs attention."""
        return [one["code"] for one in self.status()["attention"]]

    def rest(self) -> str:
        """Wait until nothing moves any more; the result of `Wait`."""
        return str(self.call("Wait", timeout_s=LIMIT)["result"])

    # -- as a user ------------------------------------------------------------------------------------

    def popen(self, *arguments: str | bytes, wrap: Sequence[str] = ()) -> subprocess.Popen[str]:
        """mediactl, running beside us."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAD_")}
        return subprocess.Popen(
            [*wrap, *CTL, *arguments],
            env={**env, "MEDIAD_SOCKET": self.socket, "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def ctl(self, *arguments: str | bytes, code: int = 0) -> Done:
        """Run mediactl to its end, which has to be with this exit code."""
        done = finished(self.popen(*arguments))
        assert done.returncode == code, (
            f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done

    def document(self, *arguments: str | bytes, code: int = 0) -> Any:
        """What mediactl prints with --json."""
        return json.loads(self.ctl(*arguments, "--json", code=code).stdout)

    # -- another configuration ------------------------------------------------------------------------

    def change(self, kind: str, name: str, /, **keys: object) -> None:
        """Write a configuration in which keys of a watch or library are others."""
        self.settings[kind][name].update(keys)
        self.configure()

    def reload(self) -> list[str]:
        """Have what was written read; returns what changed."""
        return list(self.call("Reload")["changes"])


def named(documents: Sequence[Mapping[str, Any]], name: str) -> Reply:
    """The document of this name."""
    (found,) = (dict(one) for one in documents if one["name"] == name)
    return found


def finished(process: subprocess.Popen[str], number: signal.Signals | None = None) -> Done:
    """Wait for the end of a program, after a signal if there is one."""
    with process:
        try:
            if number is not None:
                process.send_signal(number)
            out, err = process.communicate(timeout=LIMIT)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
