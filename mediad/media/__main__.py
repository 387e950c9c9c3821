"""The worker process: parses untrusted files for the daemon, which passes them in as open descriptors.

Standard input is one end of a UNIX stream socket. A request is a frame (see `mediad.media.wire`) whose
first bytes carry as many descriptors as it names files; the reply is one frame with the Facts of each in
the same order. The first frame, `wire.HELLO`, says that the worker is up and which version it is. It ends
when the socket closes.

It opens no file by name but its own libraries and time zones, and reads the descriptors with pread alone:
they share their file offset with the daemon, which may be hashing the same file at that moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import io
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from datetime import UTC
from typing import BinaryIO, cast

from mediad.media import wire, zone
from mediad.media.conclude import conclude
from mediad.media.dates import DateRules, DateSettings
from mediad.media.prints.likeness import Print
from mediad.media.read import ReadError, read
from mediad.media.reading import File, Reading, not_read
from mediad.model import Facts

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_MEMORY = 2 << 30
_DESCRIPTORS = 256
_PROCESSOR = 15  # seconds of processor time for one file; less than the daemon waits, so that it can tell
_FIRST_TO_GO = 500  # where memory runs out, the system ends a parser before the daemon


class DescriptorFile(io.RawIOBase):
    """A file over a descriptor whose shared offset it neither uses nor moves."""

    def __init__(self, descriptor: int, size: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._size = size
        self._offset = 0

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._size}[whence]
        # libmediainfo asks for places that a broken file names; there is nothing there, and no error.
        self._offset = min(max(base + offset, 0), (1 << 63) - 1)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def read(self, size: int = -1) -> bytes:
        size = self._size - self._offset if size is None or size < 0 else size
        left = max(0, min(size, (1 << 63) - 1 - self._offset))
        data = os.pread(self._descriptor, left, self._offset)
        self._offset += len(data)
        return data


def confine(nice: int) -> None:
    """Gives up what a parser does not need, and bounds what a broken one can take.

    Args:
        nice: how much further to yield the processor.
    """
    # A group and no session, between which niceness does not count (autogroup, sched(7)).
    os.setpgid(0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
    ):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
        stream.write(str(_FIRST_TO_GO))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the daemon ends us
    if nice > 0:
        os.nice(nice)


def serve(connection: socket.socket) -> None:
    """Answers requests until the connection closes."""
    connection.sendall(wire.frame(wire.HELLO))
    while True:
        body, descriptors = _receive(connection)
        try:
            if body is None:
                return
            answer = _answer(body, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        connection.sendall(answer)


def _receive(connection: socket.socket) -> tuple[bytes | None, list[int]]:
    """A request's body, or None at the end, and the descriptors that came with it."""
    header, descriptors = b"", []
    while len(header) < wire.HEADER:
        data, received, _, _ = socket.recv_fds(connection, wire.HEADER - len(header), wire.MOST_FILES)
        descriptors += received
        if not data:
            return None, descriptors
        header += data
    left = int.from_bytes(header, "big")
    if left > wire.LONGEST_REQUEST:
        return None, descriptors
    parts = []
    while left:
        data = connection.recv(left)
        if not data:
            return None, descriptors
        parts.append(data)
        left -= len(data)
    return b"".join(parts), descriptors


def _answer(body: bytes, descriptors: Sequence[int]) -> bytes:
    if wire.asks_for_print(body):
        return wire.print_reply(_print(*wire.print_request_from_json(body, descriptors)))
    return wire.reply(_answers(body, descriptors))


def _print(file: File, form: str, limit: float) -> Print:
    from mediad.media.prints.fingerprint import (
        fingerprint,  # only workers that make prints load its libraries
    )

    limit_time(limit)
    try:
        return fingerprint(file, cast("BinaryIO", DescriptorFile(file.fd, file.size)), form, limit)
    except ReadError as error:
        return Print("", failed=f"{wire.READING_FAILED}: {error}")


def _answers(body: bytes, descriptors: Sequence[int]) -> list[Facts]:
    files, rules, now = wire.request_from_json(body, descriptors)
    settings, missing = _settings(rules)
    return [conclude(_read(file, missing), file, settings, now) for file in files]


_looked_up = functools.cache(zone.date_settings)


def _settings(rules: DateRules) -> tuple[DateSettings, str]:
    """The rules with their time zone, and why no date can be told, else ""."""
    try:
        return _looked_up(rules), ""
    except (LookupError, ValueError, OSError):  # the daemon knows it: the system's time zones are changing
        return DateSettings(UTC), f"there is no time zone {rules.zone}"


def limit_time(seconds: float | None = None) -> None:
    """From now on so much processor time is left; beyond it, SIGXCPU.

    The limit counts from the worker's start. A program that it starts inherits the number and counts from
    its own: it has a limit of its own, see `mediad.media.programs`.

    Args:
        seconds: what a parser may take where None.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + (_PROCESSOR if seconds is None else seconds))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _read(file: File, missing: str) -> Reading:
    limit_time()
    try:
        if missing:
            raise ReadError(missing)
        return read(cast("BinaryIO", DescriptorFile(file.fd, file.size)), file.name, file.size)
    except ReadError as error:
        return not_read(file.name, f"{wire.READING_FAILED}: {error}")


def main() -> None:
    """Runs the worker; the only argument is how nice it is."""
    confine(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    gc.freeze()
    with socket.socket(fileno=0) as connection:
        try:
            serve(connection)
        except (BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    main()
