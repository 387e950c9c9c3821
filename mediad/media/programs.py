"""What bounds a program that a worker starts: it dies with the worker, and has a processor time of its own.

Limits are inherited as they stand, and that of processor time is a sum which in a worker grows with every
file; see `mediad.media.__main__.limit_time`.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def bounded(seconds: float) -> Callable[[], None]:
    """For `preexec_fn` of `subprocess.Popen`.

    Args:
        seconds: of processor time that the program may take; then it ends by SIGXCPU.
    """
    libc, worker = ctypes.CDLL(None), os.getpid()
    soft = max(1, math.ceil(seconds))

    def bound() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != worker:  # it was gone before it could be watched
            os.kill(os.getpid(), signal.SIGKILL)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        most = soft + 1  # at the hard limit the signal is SIGKILL
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (min(soft, most), most))

    return bound
