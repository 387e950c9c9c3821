"""Who is at the other end."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mediad.control.peer import Peer, admits, peer_of
from tests.somebody import command, needs_root
from tests.somebody import open_folder as open_folder

STRANGER = Peer(1, 12345, frozenset((100, 200)), trusted=False)

CONNECT = "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"


def test_ourselves() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert peer == Peer(os.getpid(), os.getuid(), frozenset((os.getgid(), *os.getgroups())), trusted=True)


@needs_root
@pytest.mark.parametrize("groups", [[], [7, 8], list(range(1000, 1070)), list(range(1000, 2000))])
def test_somebody_else_with_any_number_of_groups(open_folder: Path, groups: list[int]) -> None:
    path = open_folder / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        with subprocess.Popen([*command(CONNECT, 54321, 5432, groups), str(path)]) as child:
            accepted, _ = listener.accept()
            with accepted:
                peer = peer_of(accepted)
    assert peer == Peer(child.pid, 54321, frozenset((5432, *groups)), trusted=False)


def test_who_is_admitted() -> None:
    assert not admits(STRANGER, None)
    assert not admits(STRANGER, 300)
    assert not admits(STRANGER, 0)
    assert admits(STRANGER, 200)
    assert admits(replace(STRANGER, trusted=True), None)
