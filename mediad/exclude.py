"""Which files and folders are left alone, in gitignore syntax. PURE.

Meaning as in gitignore(5) (git's wildmatch.c and dir.c): the last pattern that matches decides, `!` takes an
earlier match back, and nothing below an excluded folder can be taken back. Paths are bytes, relative to
the watch. Most patterns name a whole name, a beginning or an ending; those cost a hash or one C call, and
what is left of a run of patterns is one regular expression.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

BUILT_IN: tuple[str, ...] = (
    # Downloads and copies under way: browsers, download managers, WinSCP, rclone, yt-dlp, torrents, eMule,
    # lftp and ProFTPD (.in.NAME), Pure-FTPd, macOS when it saves.
    *("*.part", "*.partial", "*.crdownload", "*.download", "*.opdownload", "*.filepart", "*.aria2"),
    *("*.ytdl", "*.part-Frag*", "*.!qB", "*.!ut", "*.part.met", "*.tmp"),
    *(".com.google.Chrome.*", ".org.chromium.Chromium.*", ".in.*", ".pureftpd-upload.*"),
    "*.sb-????????-[!.][!.][!.][!.][!.][!.]",  # no extension at its end, as photos have
    # Android: what an app is still writing, and what was deleted on the phone.
    *(".pending-*", ".trashed-*", ".thumbnails/"),
    # rsync: .NAME.XXXXXX, --partial-dir and --delay-updates.
    *(".*.[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]", ".rsync-partial/", ".~tmp~/"),
    # Syncthing; conflict copies are media and are taken.
    *(".syncthing.*.tmp", "~syncthing~*.tmp", ".stfolder", ".stversions/", ".stignore"),
    # Nextcloud and ownCloud.
    *(".~*", ".*.~*", ".ocTransferId*.part", "._sync_*.db*", ".sync_*.db*"),
    *(".owncloudsync.log*", ".nextcloudsync.log*"),
    # Dropbox, Resilio, Google Drive, Unison, iCloud place holders.
    *(".dropbox", ".dropbox.attr", ".dropbox.cache/", ".sync/", "*.!sync", "*.bts"),
    *(".tmp.drivedownload/", ".tmp.driveupload/", ".unison.*", ".*.icloud"),
    # Cameras' own files: catalogues, print orders, clip information. THM and LRV are companions, not these.
    *("*.[Cc][Tt][Gg]", "*.[Ii][Nn][Dd]", "AVF_INFO/", "NIKON001.DSC", "AUTPRINT.MRK", "INDEX.BDM"),
    *("MOVIEOBJ.BDM", "*.[Cc][Pp][Ii]", "*.[Mm][Pp][Ll]", "DATABASE.BIN", "leinfo.sav"),
    # macOS, also on the disks and shares that it touched.
    *(".DS_Store", "._*", ".Spotlight-V100/", ".Trashes", ".fseventsd/", ".TemporaryItems/", "Icon\r"),
    *(".AppleDouble/", ".AppleDB/", ".AppleDesktop/", ".apdisk", ".DocumentRevisions-V100/"),
    *(".VolumeIcon.icns", ".com.apple.timemachine*"),
    # Windows.
    *("[Tt]humbs.db", "THUMBS.DB", "ehthumbs*.db", "[Dd]esktop.ini", "DESKTOP.INI", "$RECYCLE.BIN/"),
    *("$Recycle.Bin/", "RECYCLER/", "System Volume Information/"),
    # Network storage: Synology, QNAP, NetApp; snapshots would show every file again.
    *("@eaDir/", "\\#recycle/", "\\#snapshot/", "@tmp/", "@sharebin/", "*@SynoEAStream", "*@SynoResource"),
    *("@Recycle/", "@Recently-Snapshot/", ".@__thumb/", ".@upload_cache/", ".snapshot/", "~snapshot/"),
    *(".snapshots/", ".zfs/"),
    # Trash folders and what a filesystem keeps for itself.
    *(".Trash/", ".Trash-*/", ".trash/", "lost+found/", ".nfs*", ".smbdelete*", ".fuse_hidden*"),
    # Office locks and editors' files.
    *("~$*", ".~lock.*", "*~", "*.sw[op]", "*.kate-swp", ".goutputstream-*"),
    # Our own.
    *(".mediad/", ".mediad-*"),
)
NOT_INCLUDED = "no include pattern"

_FOLDERS_REMEMBERED = 8192
_MAGIC = re.compile(rb"[*?\[\\]")
_CLASSES: dict[bytes, Callable[[int], bool]] = {
    b"alnum": lambda char: chr(char).isalnum(),
    b"alpha": lambda char: chr(char).isalpha(),
    b"blank": lambda char: char in b" \t",
    b"cntrl": lambda char: char < 0x20 or char == 0x7F,
    b"digit": lambda char: chr(char).isdigit(),
    b"graph": lambda char: 0x20 < char < 0x7F,
    b"lower": lambda char: chr(char).islower(),
    b"print": lambda char: 0x20 <= char < 0x7F,
    b"punct": lambda char: 0x20 < char < 0x7F and not chr(char).isalnum(),
    b"space": lambda char: char in b" \t\n\v\f\r",
    b"upper": lambda char: chr(char).isupper(),
    b"xdigit": lambda char: char in b"0123456789abcdefABCDEF",
}


class PatternError(ValueError):
    """A pattern that can match nothing: what is wrong; what is allowed."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One line of gitignore syntax. `regex` matches the name alone, or the whole path if `anchored`."""

    text: str
    body: bytes
    negated: bool
    folders_only: bool
    anchored: bool
    regex: bytes


class _Run:
    """Neighbouring patterns of one polarity, for one kind of entry."""

    __slots__ = ("_endings", "_names", "_path", "_patterns", "_regex", "_starts", "negated")

    def __init__(self, patterns: Sequence[_Pattern]) -> None:
        names, starts, endings, regexes, paths = set(), [], [], [], []
        for pattern in patterns:
            body = pattern.body
            if pattern.anchored:
                paths.append(pattern.regex)
            elif not _MAGIC.search(body):
                names.add(body)
            elif body[:1] == b"*" and not _MAGIC.search(body[1:]):
                endings.append(body[1:])
            elif body[-1:] == b"*" and not _MAGIC.search(body[:-1]):
                starts.append(body[:-1])
            else:
                regexes.append(pattern.regex)
        self.negated = patterns[0].negated
        self._patterns = patterns
        self._names = frozenset(names)
        self._starts = tuple(starts)
        self._endings = tuple(endings)
        self._regex = _union(regexes)
        self._path = _union(paths)

    def matches(self, path: bytes, name: bytes) -> bool:
        return (
            name in self._names
            or name.endswith(self._endings)
            or name.startswith(self._starts)
            or (self._regex is not None and self._regex(name) is not None)
            or (self._path is not None and self._path(path) is not None)
        )

    def pattern(self, path: bytes, name: bytes) -> _Pattern:
        """Which of them matched: the last one. Slow, and rarely asked."""
        return next(
            pattern
            for pattern in reversed(self._patterns)
            if re.fullmatch(pattern.regex, path if pattern.anchored else name, re.DOTALL)
        )


class _Rules:
    """A list of patterns; folders see all of them, files those that are not for folders only."""

    def __init__(self, patterns: Iterable[str]) -> None:
        compiled = [compile_pattern(text) for text in patterns]
        self._runs = {
            True: _runs(compiled),
            False: _runs([pattern for pattern in compiled if not pattern.folders_only]),
        }

    def last(self, path: bytes, name: bytes, *, is_dir: bool) -> _Pattern | None:
        """The last pattern that matches this very entry."""
        for run in self._runs[is_dir]:
            if run.matches(path, name):
                return run.pattern(path, name)
        return None


class Excluder:
    """Tells what a watch leaves alone: its own patterns, the built-in ones, and what it does not include.

    Args:
        include: gitignore syntax; a file, or a folder above it, must match.
        exclude: gitignore syntax, read after `BUILT_IN`, so that `!pattern` can take one of those back.

    Raises:
        PatternError: a pattern can match nothing.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._exclude = _Rules((*BUILT_IN, *exclude))
        self._include = None if "*" in include and not _negations(include) else _Rules(include)
        self._folders: dict[bytes, str] = {b"": ""}

    def reason(self, path: bytes, is_dir: bool) -> str:
        """The pattern that excludes `path` or a folder above it, `NOT_INCLUDED`, or "" if it is taken.

        Args:
            path: relative to the watch, without slashes at its ends. Folders are never `NOT_INCLUDED`.
        """
        parent, _, name = path.rpartition(b"/")
        above = self._folders.get(parent)
        if above is None:
            above = self._folder(parent)
        if above:
            return above
        pattern = self._exclude.last(path, name, is_dir=is_dir)
        if pattern is not None and not pattern.negated:
            return pattern.text
        if self._include is None or is_dir or self._included(path, name):
            return ""
        return NOT_INCLUDED

    def _folder(self, path: bytes) -> str:
        if len(self._folders) >= _FOLDERS_REMEMBERED:
            self._folders = {b"": ""}
        found = self._folders[path] = self.reason(path, is_dir=True)
        return found

    def _included(self, path: bytes, name: bytes) -> bool:
        assert self._include is not None
        pattern = self._include.last(path, name, is_dir=False)
        while pattern is None and b"/" in path:
            path = path.rpartition(b"/")[0]
            pattern = self._include.last(path, path.rpartition(b"/")[2], is_dir=True)
        return pattern is not None and not pattern.negated


@functools.lru_cache(maxsize=1024)  # every watch has the built-in ones
def compile_pattern(text: str) -> _Pattern:
    """One pattern of gitignore syntax.

    Raises:
        PatternError: what is wrong with it, and what is allowed.
    """
    body = _trimmed(text.encode("utf-8", "surrogateescape"))
    if body.startswith(b"#"):
        raise PatternError("is a comment; write \\# for a name that begins with #")
    negated = body.startswith(b"!")
    body = body[negated:]
    folders_only = body.endswith(b"/")
    body = body.removesuffix(b"/")
    anchored = b"/" in body
    body = body.removeprefix(b"/")
    if not body or b"\0" in body:
        raise PatternError("matches nothing; a name, a path or a glob in gitignore syntax is allowed")
    return _Pattern(text, body, negated, folders_only, anchored, _translate(body, anchored=anchored))


def _negations(patterns: Sequence[str]) -> bool:
    return any(pattern.startswith("!") for pattern in patterns)


def _runs(patterns: Iterable[_Pattern]) -> list[_Run]:
    """Runs of one polarity, last first."""
    return [_Run(list(run)) for _, run in groupby(patterns, key=lambda pattern: pattern.negated)][::-1]


def _union(regexes: Sequence[bytes]) -> Callable[[bytes], object] | None:
    return re.compile(b"|".join(regexes), re.DOTALL).fullmatch if regexes else None


def _trimmed(body: bytes) -> bytes:
    """Without trailing blanks, unless a backslash keeps one."""
    stripped = body.rstrip(b" ")
    backslashes = len(stripped) - len(stripped.rstrip(b"\\"))
    return stripped + b" " if backslashes % 2 and stripped != body else stripped


def _translate(body: bytes, *, anchored: bool) -> bytes:
    out, at = [], 0
    while at < len(body):
        char = body[at : at + 1]
        if char == b"*":
            regex, at = _stars(body, at, anchored=anchored)
        elif char == b"[":
            regex, at = _bracket(body, at)
        elif char == b"?":
            regex, at = b"[^/]", at + 1
        elif char == b"\\":
            if at + 1 == len(body):
                raise PatternError("ends in a backslash; write \\\\ for one")
            regex, at = re.escape(body[at + 1 : at + 2]), at + 2
        else:
            regex, at = re.escape(char), at + 1
        out.append(regex)
    return b"".join(out)


def _stars(body: bytes, at: int, *, anchored: bool) -> tuple[bytes, int]:
    """`**` crosses folders only where it is a whole part of the path; elsewhere it is `*`.

    Git compares the text before the first wildcard by itself, so that to it `**` begins a part there too.
    """
    end = at
    while body[end : end + 1] == b"*":
        end += 1
    begins = body[at - 1 : at] == b"/" or not _MAGIC.search(body[:at])
    ends = body[end : end + 1] in (b"", b"/") or body[end : end + 2] == b"\\/"
    if not (anchored and end - at >= 2 and begins and ends):
        return b"[^/]*", end
    return (b"(?:.*/)?", end + 1) if body[end : end + 1] == b"/" else (b".*", end)


def _bracket(body: bytes, at: int) -> tuple[bytes, int]:
    """A bracket expression as the set of bytes that it stands for, as wildmatch.c reads it."""
    at += 1
    negated = body[at : at + 1] in (b"!", b"^")
    at += negated
    chars: set[int] = set()
    previous, first = 0, True
    while first or body[at : at + 1] != b"]":
        first = False
        if at >= len(body):
            raise PatternError("has a bracket that is not closed; write \\[ for one that is meant literally")
        if body[at] == 0x2D and previous and body[at + 1 : at + 2] not in (b"", b"]"):
            last, at = _escaped(body, at + 1)
            chars.update(range(previous, last + 1))
            previous = 0
        elif named := re.compile(rb"\[:([^\]]*):\]").match(body, at):
            if named[1] not in _CLASSES:
                raise PatternError(f"has the unknown class {named[0].decode('utf-8', 'replace')}")
            chars.update(filter(_CLASSES[named[1]], range(128)))
            previous, at = 0, named.end()
        else:
            previous, at = _escaped(body, at)
            chars.add(previous)
    if negated:
        chars = set(range(256)) - chars
    chars.discard(0x2F)
    return (b"[" + b"".join(b"\\x%02x" % char for char in sorted(chars)) + b"]") if chars else b"(?!)", at + 1


def _escaped(body: bytes, at: int) -> tuple[int, int]:
    """The byte at `at`, or the one that a backslash there protects, and where the next one is."""
    at += body[at : at + 1] == b"\\"
    if at >= len(body):
        raise PatternError("has a bracket that is not closed; write \\[ for one that is meant literally")
    return body[at], at + 1
