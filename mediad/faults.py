"""What an error of the system means on either side of the way, and so what is done about it. PURE.

One row an error and side. What is done is the class's `retry`: AGAIN looks at the file anew, LATER tries
again with back-off, HOLD keeps all of the library's files until it is well, NEVER waits for the user. What
has no row may pass, and is tried again. No error of the system puts a file into quarantine: that is for
content that cannot be read as media.
"""

from __future__ import annotations

import errno

from mediad.errors import (
    CannotLink,
    Exhausted,
    InputOutput,
    LibraryFull,
    LibraryOffline,
    LibraryReadOnly,
    MediadError,
    NameTaken,
    NotPermitted,
    NotStorable,
    SourceChanged,
    SourceGone,
)

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""That we have nothing left to ask with, whatever was asked."""

Meaning = tuple[type[MediadError], str]

ANYWHERE: dict[int, Meaning] = {
    errno.EMFILE: (Exhausted, "mediad has no file descriptor left (raise LimitNOFILE=)"),
    errno.ENFILE: (Exhausted, "the system has no file descriptor left (raise fs.file-max)"),
    errno.ENOMEM: (Exhausted, "no memory is left"),
    errno.EIO: (InputOutput, "input/output error (see the system's log: the disk may fail)"),
}
SOURCE: dict[int, Meaning] = {
    **ANYWHERE,
    errno.ENOENT: (SourceGone, "left the watch before it was taken"),
    errno.ENOTDIR: (SourceGone, "left the watch before it was taken"),
    errno.ELOOP: (SourceChanged, "became a symbolic link"),
    errno.EACCES: (NotPermitted, "may not be read or removed"),
    errno.EPERM: (NotPermitted, "may not be read or removed"),
    errno.EROFS: (NotPermitted, "lies on a read-only filesystem"),
    errno.EXDEV: (CannotLink, "lies on another filesystem than its library"),
    errno.EMLINK: (CannotLink, "has as many hard links as its filesystem allows"),
    errno.ESTALE: (InputOutput, "its server has lost sight of it (stale file handle)"),
    errno.ENAMETOOLONG: (InputOutput, "its name is too long for its filesystem"),
    errno.ENOSPC: (InputOutput, "its filesystem has no space left"),
    errno.EDQUOT: (InputOutput, "the quota of its filesystem is used up"),
}
LIBRARY: dict[int, Meaning] = {
    **ANYWHERE,
    errno.EEXIST: (NameTaken, "exists already"),
    errno.ENOSPC: (LibraryFull, "no space is left"),
    errno.EDQUOT: (LibraryFull, "the quota is used up"),
    errno.EROFS: (LibraryReadOnly, "the filesystem is read-only"),
    errno.EACCES: (NotPermitted, "may not be written"),
    errno.EPERM: (NotPermitted, "may not be written"),
    errno.ENOENT: (LibraryOffline, "is missing"),
    errno.ENOTDIR: (NotPermitted, "a file or a symbolic link stands where a folder should be"),
    errno.ELOOP: (NotPermitted, "a symbolic link stands where a folder should be"),
    errno.EXDEV: (CannotLink, "lies on another filesystem than the watch"),
    errno.ESTALE: (LibraryOffline, "its server has lost sight of it (stale file handle)"),
    errno.ENODEV: (LibraryOffline, "its device is gone"),
    errno.ENAMETOOLONG: (NotStorable, "the name is too long for its filesystem; shorten the layout"),
    errno.EFBIG: (NotStorable, "the file is too large for its filesystem"),
}


_OF_CHANGES = frozenset({errno.EROFS, errno.EXDEV, errno.EMLINK})
READING = {number: meaning for number, meaning in SOURCE.items() if number not in _OF_CHANGES}
"""The others refuse changes only; where reading meets with one all the same, that may pass."""


def source_error(error: OSError, path: bytes) -> MediadError:
    """What an OSError on a file of a watch means to the pipeline."""
    return _classified(error, path, SOURCE)


def reading_error(error: OSError, path: bytes) -> MediadError:
    """What an OSError means where a file of a watch was only to be read."""
    return _classified(error, path, READING)


def library_error(error: OSError, path: bytes) -> MediadError:
    """What an OSError in a library means to the pipeline."""
    return _classified(error, path, LIBRARY)


def system_error(error: OSError, path: bytes) -> MediadError:
    """What an OSError means of which nobody knows on what side it arose."""
    return _classified(error, path, ANYWHERE)


def _classified(error: OSError, path: bytes, table: dict[int, Meaning]) -> MediadError:
    kind, message = table.get(error.errno or 0, (InputOutput, error.strerror or str(error)))
    return kind(message, path=path)
