"""What bounds a program that a worker starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from mediad.media.programs import bounded

TELL = """
import ctypes, resource
found = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(found), 0, 0, 0)  # PR_GET_PDEATHSIG
print(found.value, *resource.getrlimit(resource.RLIMIT_CPU))
"""


@pytest.mark.parametrize(("seconds", "most"), [(6.2, 7), (0.0, 1), (-3.0, 1)])
def test_it_dies_with_the_worker_and_has_its_own_processor_time(seconds: float, most: int) -> None:
    told = subprocess.run(
        [sys.executable, "-IS", "-c", TELL], preexec_fn=bounded(seconds), stdout=subprocess.PIPE, check=True
    )
    assert [int(word) for word in told.stdout.split()] == [signal.SIGKILL, most, most + 1]


def test_it_does_not_start_where_the_worker_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = bounded(9)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(subprocess.SubprocessError):
        # The child dies before it can say that it has started, or why it has not.
        subprocess.run(["true"], preexec_fn=bound, check=True)
