"""`mediad init`: a commented configuration and the folders that it names."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
from collections.abc import Iterator

from mediad.cli.output import say
from mediad.cli.settings import SYSTEM_FILE, home, user_file
from mediad.cli.template import Paths, render
from mediad.config import parse
from mediad.errors import CannotCreate, InvalidConfig, LibraryReadOnly, printable
from mediad.library import PRIVATE, bless
from mediad.roots import check_system
from mediad.synced import folders_below, synchroniser

_SYSTEM = Paths("/srv/mediad/inbox", "/srv/mediad/library", "/var/lib/mediad")
_SERVICE = "mediad"  # the user and the group of the system service
_DEEPEST = 2  # levels below the home folder on which Syncthing's folders are looked for
_MOST_FOLDERS = 2000  # looked into, so that a crowded home folder does not take long


def init(config: str | None, *, watch: str | None, library: str | None, system: bool) -> int:
    """Writes a configuration, makes its folders and says what it found; asks and overwrites nothing.

    Args:
        config: the file to write, else the system's if `system`, else $MEDIAD_CONFIG or the user's.
        watch, library: folders, relative ones to the working directory; None: the usual ones.

    Raises:
        CannotCreate: the file is there already, it or a folder cannot be made, or watch and library cannot go
            together.
    """
    watch, library = (
        os.path.abspath(os.path.expanduser(path)) if path else None for path in (watch, library)
    )
    file = os.path.abspath(_target(config, system=system))
    if os.path.lexists(file):
        raise _there_already(file)
    synced = [] if system else [path for path in _syncthing_folders(home()) if path != watch]
    text = render(_paths(watch, library, synced, system=system))
    try:
        settings = parse(text, file=file, env=os.environ, home=home())
    except InvalidConfig as error:
        raise CannotCreate(str(error)) from None
    pictures = _pictures()
    for root in settings.roots():
        if os.path.lexists(root.path) and not os.path.isdir(root.path):
            raise CannotCreate(f"is no folder; a {root.kind} is one", path=root.path)
    for root in settings.roots():
        made = _make_folder(root.path, root.kind)
        if system and made and (user := _service_user()) is not None:
            _hand_over(root.path, user.pw_uid, user.pw_gid)
    for place in settings.libraries.values():
        _bless(place.path)
        if system:
            _hand_over_private(place.path)
    _make_folder(os.path.dirname(file))
    _create(file, text)
    say(f"wrote {printable(file)}")
    for note in (*pictures, *_notes(synced, [watch.path for watch in settings.watches.values()])):
        say(printable(note))
    for problem in check_system(settings):
        say(f"to be mended: {printable(problem)}")
    option = f" --config {printable(shlex.quote(file))}" if config else ""
    say(f"next: look through it, then `mediad plan{option}` and `mediad run{option}`")
    return 0


def _target(config: str | None, *, system: bool) -> str:
    usual = SYSTEM_FILE if system else os.environ.get("MEDIAD_CONFIG") or user_file(os.environ)
    if not (target := config or usual):
        raise CannotCreate("there is no home folder to write a configuration in", remedy="use --config FILE")
    return target


def _paths(watch: str | None, library: str | None, synced: list[str], *, system: bool) -> Paths:
    usual = _SYSTEM if system else Paths()
    return Paths(
        watch=_written(watch) if watch else usual.watch,
        library=_written(library) if library else usual.library,
        state_dir=usual.state_dir,
        group=_SERVICE if system and _has_group(_SERVICE) else "",
        synced=tuple((f"syncthing{number}", _written(path)) for number, path in enumerate(synced, 1)),
    )


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _written(path: str) -> str:
    """`path` as it has to stand in the file."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise CannotCreate("is not UTF-8, which a configuration has to be", path=path) from None
    return path.replace("$", "$$")


def _make_folder(path: str, kind: str = "") -> bool:
    """Make a folder where there is none; was it made?"""
    found = os.path.isdir(path)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise CannotCreate(f"cannot be made: {error.strerror}", path=path) from None
    if kind:
        say(f"{'found' if found else 'made'} {printable(path)} ({kind})")
    return not found


def _service_user() -> pwd.struct_passwd | None:
    """The user that the system service runs as, where sysusers.d has made it."""
    try:
        return pwd.getpwnam(_SERVICE)
    except KeyError:
        return None


def _hand_over(path: str, uid: int, gid: int) -> None:
    try:
        os.chown(path, uid, gid, follow_symlinks=False)
    except OSError as error:
        raise CannotCreate(f"cannot be given to its owner: {error.strerror}", path=path) from None


def _hand_over_private(library: str) -> None:
    """The library's private folder belongs to whom the library belongs to: that is who files into it."""
    owner = os.stat(library)
    private = os.path.join(library, os.fsdecode(PRIVATE))
    for folder, names, files in os.walk(private):
        for name in (*names, *files):
            _hand_over(os.path.join(folder, name), owner.st_uid, owner.st_gid)
    _hand_over(private, owner.st_uid, owner.st_gid)


def _bless(path: str) -> None:
    try:
        bless(path)
    except LibraryReadOnly as error:
        raise CannotCreate(f"cannot become a library: {error.message}", path=path) from None


def _create(file: str, text: str) -> None:
    """Writes `file` whole, or leaves nothing; never over another."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise _there_already(file) from None
    except OSError as error:
        raise CannotCreate(f"cannot be written: {error.strerror}", path=file) from None
    try:
        with open(fd, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(fd)
    except OSError as error:
        os.unlink(file)
        raise CannotCreate(f"cannot be written: {error.strerror}", path=file) from None


def _there_already(file: str) -> CannotCreate:
    return CannotCreate("is there already, and nothing is overwritten", path=file)


def _pictures() -> list[str]:
    """What to say of a collection that is there already; asked before folders are made in it."""
    path = os.path.join(home(), "Pictures")
    if not home() or not os.path.isdir(path):
        return []
    return [f"found {path}: what it holds is left alone; only what comes into the watch is filed"]


def _notes(synced: list[str], watches: list[str]) -> Iterator[str]:
    for path in synced:
        yield f"found {path}: Syncthing keeps it; it is in the file as a watch, commented out"
    for path in watches:
        if keeper := synchroniser(path):
            yield f'found {path}: {keeper} keeps it; leave its action at "copy"'


def _syncthing_folders(top: str) -> Iterator[str]:
    """Folders with Syncthing's mark, not far below `top`."""
    for folder in folders_below(top, _DEEPEST, _MOST_FOLDERS) if top else ():
        if os.path.lexists(os.path.join(folder, ".stfolder")):
            yield folder
