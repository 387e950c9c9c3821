"""What is left alone, measured against git where git has an opinion."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediad.exclude import BUILT_IN, NOT_INCLUDED, Excluder, PatternError, compile_pattern

Git = Callable[[list[str]], set[bytes]]


def reason(path: bytes, *exclude: str, is_dir: bool = False) -> str:
    return Excluder(["*"], exclude).reason(path, is_dir)


@pytest.mark.parametrize(
    "path",
    [
        *(
            b"a.jpg.part",
            b"a.mp4.crdownload",
            b"x/a.jpg.download",
            b"a.opdownload",
            b"a.jpg.filepart",
            b"a.tmp",
        ),
        *(
            b".in.a.jpg",
            b".in.a.jpg.",
            b".pureftpd-upload.4d3f",
            b"a.jpg.sb-1f2e3d4c-a1B2c3",
            b".smbdeleteAB1",
        ),
        *(b".IMG_1.JPG.a1B2c3", b"a/.rsync-partial/x.jpg", b".~tmp~/x.jpg"),
        *(
            b".syncthing.IMG_1.jpg.tmp",
            b"~syncthing~IMG_1.jpg.tmp",
            b".stfolder",
            b".stversions/a/b.jpg",
            b".stignore",
        ),
        *(b".~lock.x#", b".IMG.jpg.~1f2a", b".ocTransferId1.part", b"._sync_0a1b.db", b"._sync_0a1b.db-wal"),
        *(b".sync_12.db", b".owncloudsync.log", b".nextcloudsync.log"),
        *(
            b".sync/x.jpg",
            b"a.jpg.!sync",
            b"a.bts",
            b".dropbox.cache/x.jpg",
            b".pending-16-a.jpg",
            b".trashed-1-a.jpg",
        ),
        *(b"DCIM/CANONMSC/M0100.CTG", b"PRIVATE/SONY/SONYCARD.IND", b"AVF_INFO/AVIN0001.INP"),
        *(b".DS_Store", b"._IMG_1.JPG", b".Spotlight-V100/x", b".Trashes/501/x.jpg", b".Trashes", b"Icon\r"),
        *(b".fseventsd/x", b".TemporaryItems/x.jpg"),
        *(b"Thumbs.db", b"thumbs.db", b"desktop.ini", b"$RECYCLE.BIN/x.jpg", b"System Volume Information/x"),
        *(b"a/@eaDir/b.jpg/SYNOPHOTO_THUMB_B.jpg", b"#recycle/x.jpg", b"#snapshot/x.jpg", b"@Recycle/x.jpg"),
        *(b"@Recently-Snapshot/x.jpg", b".@__thumb/x.jpg", b"lost+found/x.jpg", b".Trash-1000/files/x.jpg"),
        *(b"~$x.docx", b"x.jpg~", b".x.swp", b".goutputstream-AB12", b".nfs0001", b".fuse_hidden0001"),
        *(b".mediad/tmp/x.jpg", b".mediad-1.jpg", b"a/.mediad-x"),
    ],
)
def test_built_in(path: bytes) -> None:
    assert reason(path)


@pytest.mark.parametrize(
    "path",
    [
        *(
            b"IMG_1.JPG",
            b"DCIM/100CANON/IMG_1.CR2",
            b"GOPR0001.THM",
            b"GOPR0001.LRV",
            b"AVSEQ01.DAT",
            b"MVI_1.dat",
        ),
        *(b"PRIVATE/AVCHD/BDMV/STREAM/00001.MTS", b"C0001M01.XML", b"IMG_1.xmp", b"IMG_1.jpg.json"),
        *(
            b".hidden.jpg",
            b".hidden.jpeg",
            b"part.jpg",
            b"tmp/a.jpg",
            b"a.sync-conflict-20210101-000000-ABCDEFG.jpg",
        ),
        *(
            b"IMG (conflicted copy).jpg",
            b"\xff\xfe.jpg",
            b"a\nb.jpg",
            b"IMG_00~1.JPG",
            b"trash/x.jpg",
            b"$x.jpg",
        ),
        *(b"._.jpg/..jpg"[4:], b"INDEX.jpg", b"download/x.jpg"),
        *(b"Salzburg.sb-trip-01.jpg", b"a.sb-1f2e3d4c-01.jpg"),
    ],
)
def test_media_is_never_built_in(path: bytes) -> None:
    assert reason(path) == ""


def test_folders_exclude_what_they_hold() -> None:
    excluder = Excluder(["*"], ["private/", "!private/open.jpg", "/top"])
    assert excluder.reason(b"a/private", True) == "private/"
    assert excluder.reason(b"a/private", False) == ""
    assert excluder.reason(b"a/private/b/c.jpg", False) == "private/"
    assert excluder.reason(b"private/open.jpg", False) == "private/"
    assert excluder.reason(b"top", False) == "/top"
    assert excluder.reason(b"a/top", False) == ""


def test_the_last_pattern_decides() -> None:
    assert reason(b"a.gif", "*.gif", "*.GIF", "a*", "!b*") == "a*"
    assert reason(b"b.gif", "*.gif", "!b*") == ""
    assert reason(b"b.gif", "*.gif", "!b*", "b.*") == "b.*"


def test_built_in_ones_can_be_taken_back() -> None:
    assert reason(b"@eaDir/x.jpg", "!@eaDir/") == ""
    assert reason(b"x.tmp", "!x.tmp") == ""
    assert reason(b"y.tmp", "!x.tmp") == "*.tmp"


def test_include() -> None:
    excluder = Excluder(["*.jpg", "DCIM/", "!DCIM/*.gif"], ["x*"])
    assert excluder.reason(b"a/b.jpg", False) == ""
    assert excluder.reason(b"a/b.png", False) == NOT_INCLUDED
    assert excluder.reason(b"a", True) == ""
    assert excluder.reason(b"a/DCIM/b.png", False) == ""
    assert excluder.reason(b"DCIM/b.gif", False) == NOT_INCLUDED
    assert excluder.reason(b"x.jpg", False) == "x*"
    assert excluder.reason(b"a.jpg.part", False) == "*.part"


def test_include_can_take_back() -> None:
    excluder = Excluder(["*", "!*.gif"], [])
    assert excluder.reason(b"a.gif", False) == NOT_INCLUDED
    assert excluder.reason(b"a.jpg", False) == ""


def test_raw_bytes_in_patterns() -> None:
    assert reason(b"\xff.jpg", b"\xff.*".decode("utf-8", "surrogateescape"))
    assert reason("ä.jpg".encode(), "ä*")


def test_many_folders_are_not_remembered_for_ever() -> None:
    excluder = Excluder(["*"], [])
    for number in range(20_000):
        assert excluder.reason(b"%d/a.jpg" % number, False) == ""
    assert len(excluder._folders) < 10_000


@pytest.mark.parametrize(
    "pattern", ["", " ", "/", "!", "!/", "# comment", "[a", "a\\", "[[:nope:]]", "a\0", "[a-"]
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"\w"):
        compile_pattern(pattern)


FILES = [
    *(
        b"b/a",
        b"ab",
        b"a/b/c",
        b"x/a/b",
        b"a/x/b",
        b"a/x/y/b",
        b"abc",
        b"a.b",
        b"x/y/z",
        b"c/a",
        b"c/b",
        b".a",
    ),
    *(
        b"-",
        b"]",
        b"[a]",
        b"!a",
        b"#a",
        b"a b",
        b"a ",
        b"\\",
        b"a\\b",
        b"A",
        b"1",
        b"aXb",
        b"*",
        b"^",
        b"\xff",
    ),
]
FOLDERS = [b"a", b"a/b", b"a/x", b"a/x/y", b"b", b"c", b"x", b"x/a", b"x/y"]


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    """Which of FILES and FOLDERS git ignores by these patterns."""
    program = shutil.which("git")
    if program is None:
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("git")
    subprocess.run([program, "init", "-q", folder], check=True)
    for path in FOLDERS:
        os.makedirs(os.path.join(os.fsencode(folder), path))
    for path in FILES:
        with open(os.path.join(os.fsencode(folder), path), "wb"):
            pass
    # -v -n -z: source, line, pattern and path of each, empty where nothing matches
    command = [program, "check-ignore", "--no-index", "-z", "-v", "-n", "--stdin"]
    paths = b"".join(path + b"\0" for path in (*FOLDERS, *FILES))

    def ignored(patterns: list[str]) -> set[bytes]:
        folder.joinpath(".gitignore").write_text("".join(f"{pattern}\n" for pattern in patterns))
        answer = subprocess.run(command, input=paths, capture_output=True, check=False, cwd=folder).stdout
        fields = answer.split(b"\0")
        matches = zip(fields[2::4], fields[3::4], strict=False)
        return {path for pattern, path in matches if pattern and not pattern.startswith(b"!")}

    return ignored


@pytest.mark.parametrize(
    "patterns",
    [
        *(
            ["a"],
            ["/a"],
            ["a/"],
            ["a/b"],
            ["/a/b/"],
            ["*"],
            ["a*"],
            ["*b"],
            ["?"],
            ["a?b"],
            ["*.b"],
            ["a*b*"],
        ),
        *(
            ["**/b"],
            ["a/**"],
            ["a/**/b"],
            ["**"],
            ["/**"],
            ["a**"],
            ["a**/b"],
            ["x/**/b"],
            ["***/b"],
            ["a/***"],
        ),
        *(["**/"], ["*/b"], ["*/*/b"], ["a/*"], ["/*/"], ["a*/b"], ["**b"], ["x**b/c"], ["*a**/b"]),
        *(
            ["[ab]"],
            ["[!a]"],
            ["[^a]"],
            ["[]]"],
            ["[!]]"],
            ["[a-c]"],
            ["[c-a]"],
            ["[-a]"],
            ["[a-]"],
            ["[\\]]"],
        ),
        *(["[[:alpha:]]"], ["[[:digit:][:upper:]]"], ["[[:alpha:]-z]"], ["[[:x]"], ["a[/]b"], ["a[!x]b"]),
        *(
            ["\\!a"],
            ["\\#a"],
            ["\\a"],
            ["a\\ "],
            ["a "],
            ["a\\\\b"],
            ["\\\\"],
            ["\\*"],
            ["[[]a]"],
            ["a\\*"],
            ["**\\/b"],
        ),
        *(["*", "!a"], ["*", "!*/", "!b"], ["a/*", "!a/b"], ["a", "!a/b"], ["b", "!/b", "a/b"]),
    ],
    ids=" ".join,
)
def test_as_git(git: Git, patterns: list[str]) -> None:
    assert _ignored(_only(patterns)) == git(patterns)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(patterns=st.lists(st.text("ab*?[]!-/\\ ^:", min_size=1, max_size=8), min_size=1, max_size=3))
def test_as_git_with_anything(git: Git, patterns: list[str]) -> None:
    try:
        excluder = _only(patterns)
    except PatternError:
        return
    assert _ignored(excluder) == git(patterns)


def _only(patterns: list[str]) -> Excluder:
    """An excluder without the built-in patterns."""
    return Excluder(["*"], [*(f"!{pattern}" for pattern in BUILT_IN), *patterns])


def _ignored(excluder: Excluder) -> set[bytes]:
    folders = {path for path in FOLDERS if excluder.reason(path, True)}
    return folders | {path for path in FILES if excluder.reason(path, False)}
