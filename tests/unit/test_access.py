"""Who could read a file: by the manual's algorithm, and by the kernel."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediad.control.access import READ, SEARCH, may_read
from tests.somebody import command, needs_root
from tests.somebody import open_folder as open_folder

UIDS = st.integers(1, 4)
GIDS = st.integers(1, 4)
PERMISSIONS = st.integers(0, 7)


@dataclass(frozen=True)
class Owned:
    st_mode: int
    st_uid: int
    st_gid: int


@dataclass(frozen=True)
class Acl:
    """An ACL as people think of it."""

    owner: int
    group: int
    other: int
    mask: int
    users: dict[int, int]
    groups: dict[int, int]

    def raw(self) -> bytes:
        """As the kernel stores it: sorted by tag."""
        entries = [(0x01, self.owner, -1), *((0x02, p, uid) for uid, p in sorted(self.users.items()))]
        entries += [(0x04, self.group, -1), *((0x08, p, gid) for gid, p in sorted(self.groups.items()))]
        entries += [(0x10, self.mask, -1), (0x20, self.other, -1)]
        return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)

    def allows(self, uid: int, gids: set[int], owned: Owned, want: int) -> bool:
        """acl(5), step by step."""
        if uid == owned.st_uid:
            granted = [self.owner]
        elif uid in self.users:
            granted = [self.users[uid] & self.mask]
        elif owned.st_gid in gids or gids & self.groups.keys():
            granted = [self.group & self.mask] if owned.st_gid in gids else []
            granted += [self.groups[gid] & self.mask for gid in gids if gid in self.groups]
        else:
            granted = [self.other]
        return any(allowed & want == want for allowed in granted)


ACLS = st.builds(
    Acl,
    PERMISSIONS,
    PERMISSIONS,
    PERMISSIONS,
    PERMISSIONS,
    st.dictionaries(UIDS, PERMISSIONS),
    st.dictionaries(GIDS, PERMISSIONS),
)


@given(UIDS, st.sets(GIDS), UIDS, GIDS, ACLS, st.integers(1, 7))
def test_acls_are_read_as_the_manual_has_it(
    uid: int, gids: set[int], owner: int, group: int, acl: Acl, want: int
) -> None:
    owned = Owned(acl.owner << 6 | acl.mask << 3 | acl.other, owner, group)
    assert may_read(uid, gids, owned, acl.raw(), want) == acl.allows(uid, gids, owned, want)


@pytest.mark.parametrize(
    ("uid", "gids", "mode", "want", "may"),
    [
        (1, {9}, 0o400, READ, True),
        (1, {2}, 0o044, READ, False),  # the owner has what the owner has, and nothing else
        (9, {2}, 0o040, READ, True),
        (9, {2}, 0o004, READ, False),
        (9, {8, 2}, 0o704, READ, False),
        (9, {8}, 0o004, READ, True),
        (9, {8}, 0o770, READ, False),
        (9, {8}, 0o004, READ | SEARCH, False),
        (9, {8}, 0o005, READ | SEARCH, True),
        (9, set(), 0o001, SEARCH, True),
    ],
)
def test_mode_bits(uid: int, gids: set[int], mode: int, want: int, may: bool) -> None:
    assert may_read(uid, gids, Owned(0o100000 | mode, 1, 2), None, want) is may


@given(st.binary())
def test_what_is_no_acl_permits_nothing(raw: bytes) -> None:
    if raw[:4] != struct.pack("<I", 2):
        assert not may_read(9, {9}, Owned(0o777, 1, 2), raw)


def test_a_cut_off_acl_permits_nothing() -> None:
    raw = Acl(7, 7, 7, 7, {}, {}).raw()
    assert may_read(9, {9}, Owned(0o777, 1, 2), raw)
    assert not any(may_read(9, {9}, Owned(0o777, 1, 2), raw[:length]) for length in range(len(raw)))


# --- The kernel --------------------------------------------------------------------------------------

OWNER, NAMED, OTHER = 54321, 54322, 54323
OWNING, FIRST, SECOND = 5431, 5432, 5433

READERS = [
    (uid, gids)
    for uid in (OWNER, NAMED, OTHER)
    for gids in ([1], [OWNING], [FIRST], [SECOND], [1, FIRST, SECOND], [OWNING, FIRST], [SECOND, OWNING])
]
CASES = [
    ("0640", ""),
    ("0604", ""),
    ("0240", ""),
    ("0044", ""),
    ("0000", ""),
    ("0600", f"u:{NAMED}:r"),
    ("0604", f"u:{NAMED}:-"),
    ("0640", f"u:{NAMED}:r,m::-"),
    ("0604", f"u:{NAMED}:r,m::-"),
    ("0600", f"g:{FIRST}:r"),
    ("0604", f"g:{FIRST}:-"),
    ("0640", f"g:{FIRST}:-,g:{SECOND}:-"),
    ("0604", f"g::-,g:{FIRST}:r,g:{SECOND}:-"),
    ("0644", f"u:{NAMED}:r,g:{FIRST}:r,m::x"),
    ("0640", f"u:{OWNER}:r,g:{FIRST}:r,u::-"),
]

# Tries to open every path, and prints which it could.
TRY = """
for path in sys.argv[1:]:
    try:
        os.close(os.open(path, os.O_RDONLY))
        print(1)
    except PermissionError:
        print(0)
"""


@needs_root
@pytest.mark.skipif(shutil.which("setfacl") is None, reason="setfacl is not installed (package acl)")
def test_the_kernel_agrees(open_folder: Path) -> None:
    paths = [_file(open_folder / str(number), *case) for number, case in enumerate(CASES)]
    for uid, gids in READERS:
        program = [*command(TRY, uid, gids[0], gids), *map(str, paths)]
        tried = subprocess.run(program, check=True, capture_output=True, timeout=60)
        could = [line == b"1" for line in tried.stdout.split()]
        assert len(could) == len(paths)
        for case, path, kernel in zip(CASES, paths, could, strict=True):
            passed_over = bool(_acl(path)) and not path.stat().st_mode & 0o070  # its mask is empty
            ours = may_read(uid, gids, path.stat(), _acl(path))
            assert ours == kernel or (passed_over and kernel), (case, uid, gids)


def _file(path: Path, mode: str, acl: str) -> Path:
    path.touch()
    os.chown(path, OWNER, OWNING)
    path.chmod(int(mode, 8))
    if acl:
        subprocess.run(["setfacl", "-n" if "m::" in acl else "--mask", "-m", acl, path], check=True)
    return path


def _acl(path: Path) -> bytes | None:
    try:
        return os.getxattr(path, "system.posix_acl_access")
    except OSError:
        return None
