"""The one error tree. PURE.

Every error says what happened, to which path, and what the user can do about it. `code` is stable
(tests, `status` and the control protocol name errors by it), `retry` says what the pipeline does
next, `exit_code` what a command-line program returns (sysexits.h where it has a value).
"""

from __future__ import annotations

import enum

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from typing import ClassVar


class Retry(enum.Enum):
    """What the pipeline does with a file after an error."""

    NEVER = "never"  # the user has to act
    AGAIN = "again"  # look at the file anew: it changed under us
    LATER = "later"  # back off, then try again
    HOLD = "hold"  # the library cannot take anything now: hold all its work


class MediadError(Exception):
    """Root of the tree.

    Args:
        message: what happened, one line.
        path: the path it happened to, if there is one.
        remedy: what the user can do, one line.
    """

    code: ClassVar[str] = "internal"
    retry: ClassVar[Retry] = Retry.NEVER
    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, path: bytes | str | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{printable(self.path)}: " if self.path is not None else ""
        tail = f" ({self.remedy})" if self.remedy else ""
        return f"{where}{self.message}{tail}"


def printable(path: bytes | str) -> str:
    """A path as one printable line: invalid UTF-8, control characters and newlines are escaped."""
    text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    if text.isprintable():
        return text
    return "".join(_printable_char(char) for char in text)


def _printable_char(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # surrogateescape stands for one raw byte
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


class InvalidConfig(MediadError):
    """The configuration is wrong; `problems` holds every finding, one printable line each."""

    code = "invalid-config"
    exit_code = 78

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class AlreadyHeld(MediadError):
    """Another daemon holds the state directory or the library."""

    code = "already-held"
    exit_code = 75


class CannotCreate(MediadError):
    """A file or folder that a command should make cannot be made, or is there already."""

    code = "cannot-create"
    exit_code = 73


class SchemaTooNew(MediadError):
    """The catalogue was written by a newer mediad."""

    code = "schema-too-new"
    exit_code = 78


class CatalogueBroken(MediadError):
    """The catalogue cannot be read or written."""

    code = "catalogue-broken"
    exit_code = 74


class CatalogueOlder(MediadError):
    """A library carries newer rows of this very catalogue: somebody has put an old one back."""

    code = "catalogue-older"
    exit_code = 74


class SourceChanged(MediadError):
    """The file is not, or no longer, what was seen or hashed."""

    code = "source-changed"
    retry = Retry.AGAIN


class SourceBusy(MediadError):
    """Somebody holds the file open for writing."""

    code = "source-busy"
    retry = Retry.AGAIN


class SourceGone(MediadError):
    """The file left the watch before it was taken."""

    code = "source-gone"
    retry = Retry.AGAIN
    exit_code = 66


class PrincipalComing(MediadError):
    """What a companion belongs to by its name has been seen and is not filed yet."""

    code = "principal-coming"
    retry = Retry.AGAIN


class NameTaken(MediadError):
    """The destination name exists; the planner chooses another."""

    code = "name-taken"
    retry = Retry.AGAIN


class Unreadable(MediadError):
    """The bytes claim to be media and cannot be read at all."""

    code = "unreadable"


class WitnessFailed(MediadError):
    """The library file on whose word a file was called a duplicate is missing or has other content now."""

    code = "witness-failed"
    retry = Retry.AGAIN


class CannotLink(MediadError):
    """A hardlink watch and its library do not share a filesystem that has hard links."""

    code = "cannot-link"


class NotPermitted(MediadError):
    """The daemon may not read, write or remove this path."""

    code = "not-permitted"
    retry = Retry.LATER
    exit_code = 77


class NoSuchName(MediadError):
    """A command names a watch or library that the configuration does not have."""

    code = "no-such-name"
    exit_code = 2

    def __init__(self, name: str, hint: str = "") -> None:
        tail = f"; {hint}" if hint else ""
        super().__init__(f"there is no watch or library named {printable(name)}{tail}")
        self.name = name


class Misused(MediadError):
    """A command lacks something, or names what it is not for."""

    code = "usage"
    exit_code = 2


class NotKnown(MediadError):
    """Nothing is known of the path that a command names."""

    code = "not-known"
    exit_code = 1


class Ambiguous(MediadError):
    """A bare name stands for several files; `paths` are they."""

    code = "ambiguous"
    exit_code = 1

    def __init__(self, paths: list[bytes]) -> None:
        super().__init__("several files have this name", remedy="name one with its whole path")
        self.paths = paths


class Refused(MediadError):
    """What a command asks for cannot be done now, or not like this."""

    code = "refused"
    exit_code = 1


class Busy(MediadError):
    """The daemon has too much of such work; asking again later may do."""

    code = "busy"
    retry = Retry.LATER
    exit_code = 75


class InputOutput(MediadError):
    """The system reported an error that may pass (EIO and its like)."""

    code = "input-output"
    retry = Retry.LATER


class Exhausted(MediadError):
    """The daemon or the system has no file descriptor or memory left (EMFILE, ENFILE, ENOMEM).

    That is no fault of the file's or the library's, and nothing is concluded from it.
    """

    code = "exhausted"
    retry = Retry.LATER


class NotStorable(MediadError):
    """The library's filesystem cannot have such a file: its name is too long, or it is too large."""

    code = "not-storable"
    retry = Retry.LATER


class VerifyFailed(MediadError):
    """What was written and read back is not what was hashed."""

    code = "verify-failed"
    retry = Retry.LATER


class Stranded(MediadError):
    """A file could be neither filed nor given back; only the journal knows where it is.

    Its step stays open, and the library's recovery brings it to one of the two.
    """

    code = "stranded"
    retry = Retry.HOLD


class LibraryOffline(MediadError):
    """The library's folder or marker is missing, or it is another library."""

    code = "library-offline"
    retry = Retry.HOLD


class LibraryFull(MediadError):
    """No space, quota exhausted, or less free than `min_free`."""

    code = "library-full"
    retry = Retry.HOLD


class LibraryReadOnly(MediadError):
    """The library cannot be written."""

    code = "library-readonly"
    retry = Retry.HOLD


class LibraryMoved(MediadError):
    """A reload put the library elsewhere before the file had its name there; it is filed there anew."""

    code = "library-moved"
    retry = Retry.AGAIN
