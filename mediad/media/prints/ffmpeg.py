"""Runs the ffmpeg programs over one open file. Runs in workers.

A film comes from strangers, and a playlist or a reference in it may name any file or address: the demuxer is
the one of the format that was found, and nothing but the file itself can be opened. The programs stay in the
process group of the worker, which is killed as one, and die with it however it ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from typing import Any

import ffmpeg

from mediad.media.prints.likeness import NO_FFMPEG
from mediad.media.programs import bounded
from mediad.media.read import ReadError

DEMUXERS = {
    **dict.fromkeys(("mp4", "mov", "m4v", "3gp", "m4a", "cr3"), "mov"),
    **dict.fromkeys(("mkv", "webm"), "matroska"),
    **dict.fromkeys(("wmv", "wma"), "asf"),
    "avi": "avi",
    "mts": "mpegts",
    "mpg": "mpeg",
    "ogv": "ogg",
    "jxl": "jpegxl_pipe",
}
"""ffmpeg's name for what reads a format; what is not in it is not handed to ffmpeg."""

_MOST_OUTPUT = 16 << 20
_BLOCK = 1 << 20

# How a program ends by its own doing; as for the worker itself, see `mediad.worker`.
_OWN_SIGNALS = frozenset(
    {
        *(signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS),
        *(signal.SIGXCPU, signal.SIGXFSZ),
    }
)


class Failed(Exception):
    """Why there is nothing to compare; the message is for people."""


class Source:
    """A file that the programs read.

    Args:
        descriptor: open in this process.
        demuxer: ffmpeg's name for what reads it.
        deadline: `time.monotonic()` at which the programs must have ended.
    """

    def __init__(self, descriptor: int, demuxer: str, deadline: float) -> None:
        self._descriptor = descriptor
        self._demuxer = demuxer
        self._deadline = deadline
        self._was_read = False

    def stream(self, **options: str | float) -> Any:  # noqa: ANN401 - ffmpeg-python has no types
        """The file as an input of ffmpeg-python; `options` stand in front of it."""
        return ffmpeg.input(self._path, **self._shut_in, **options)

    def convert(self, output: Any) -> bytes:  # noqa: ANN401
        """What ffmpeg writes for an output to "pipe:".

        Raises:
            Failed: it is not there, found nothing that it can read, or was too slow.
            ReadError: somebody ended it, or the system cannot read the file.
        """
        arguments = ["-hide_banner", "-nostdin", "-v", "error", "-threads", "1", *output.get_args()]
        return self._run("ffmpeg", arguments)

    def copied(self, form: str, **options: str) -> Any:  # noqa: ANN401
        """An output that has pictures and sound as they are, cover art excepted, for `convert`."""
        streams = self.stream()
        return ffmpeg.output(streams["V?"], streams["a?"], "pipe:", format=form, c="copy", **options)

    def probe(self, entries: str) -> bytes:
        """What ffprobe tells, as JSON.

        Raises:
            Failed, ReadError: as for `convert`.
        """
        shut_in = [part for name, value in self._shut_in.items() for part in (f"-{_short(name)}", value)]
        arguments = ["-v", "error", *shut_in, "-of", "json", "-show_entries", entries, self._path]
        return self._run("ffprobe", arguments)

    @property
    def _path(self) -> str:
        return f"/proc/self/fd/{self._descriptor}"

    @property
    def _shut_in(self) -> dict[str, str]:
        return {"format": self._demuxer, "protocol_whitelist": "file,pipe"}

    def _run(self, program: str, arguments: list[str]) -> bytes:
        path = shutil.which(program)
        if path is None:
            raise Failed(NO_FFMPEG)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Failed("it takes too long to look at")
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and no name that a stranger chose
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(self._descriptor,),
                timeout=left,
                preexec_fn=bounded(left),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed("it takes too long to look at") from error
        if done.returncode < 0 and -done.returncode not in _OWN_SIGNALS:
            raise ReadError(f"{program} was killed")
        if done.returncode != 0 or done.stderr:
            self._read_all()
        if done.returncode != 0 and not done.stdout:
            raise Failed("ffmpeg cannot read it")
        return done.stdout[:_MOST_OUTPUT]

    def _read_all(self) -> None:
        """The programs take a place that the disk cannot read for the end of the film: there is none."""
        offset = 0
        while not self._was_read and time.monotonic() < self._deadline:
            try:
                data = os.pread(self._descriptor, _BLOCK, offset)
            except OSError as error:
                raise ReadError(error.strerror or str(error)) from error
            offset += len(data)
            self._was_read = not data


def _short(name: str) -> str:
    return "f" if name == "format" else name
