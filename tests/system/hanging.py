"""A filesystem that stops answering, as a network mount does whose server is gone. Run inside the machine.

    python -m tests.system.hanging MOUNT_POINT

It shows an empty folder and says `mounted`. Told `hang` on its standard input it says `hung`, answers nobody
any more, and says `asked` when the first one waits in vain. It ends, and its mount with it, at the end of its
input. FUSE's wire format is that of linux/fuse.h; what is not spoken here the kernel is told not to use.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import struct
import sys

_HEADER = struct.Struct("<IIQQIIII")  # fuse_in_header: length, opcode, unique, node, ...
_ANSWER = struct.Struct("<IiQ")  # fuse_out_header
_VERSION = struct.Struct("<IIIIHHIIHHI28x")  # fuse_init_out
_ATTRIBUTES = struct.Struct("<QII6Q10I")  # fuse_attr_out with its fuse_attr
_OPENED = struct.Struct("<QII")  # fuse_open_out
_FILESYSTEM = struct.Struct("<5Q4I24x")  # fuse_statfs_out
_LOOKUP, _FORGET, _GETATTR, _STATFS, _RELEASE = 1, 2, 3, 17, 18
_INIT, _OPENDIR, _READDIR, _RELEASEDIR, _INTERRUPT, _FORGETS = 26, 27, 28, 29, 36, 42
_LARGEST = 1 << 17  # bytes of a request
_ROOT = 1  # its node
_MNT_DETACH = 2  # umount2(2)

_libc = ctypes.CDLL(None, use_errno=True)


def main(point: str) -> None:
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    _mount(point, f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other")
    print("mounted", flush=True)
    try:
        _serve(device)
    finally:
        os.close(device)
        _libc.umount2(os.fsencode(point), _MNT_DETACH)


def _serve(device: int) -> None:
    while device in _ready(device, sys.stdin.fileno()):
        _answer(device)
    if sys.stdin.readline() != "hang\n":
        return
    print("hung", flush=True)
    # Who waits for a request that is not read can be killed, as with a dead server.
    if device in _ready(device, sys.stdin.fileno()):
        print("asked", flush=True)
        sys.stdin.readline()


def _ready(*descriptors: int) -> list[int]:
    """Those of them that can be read, when one can."""
    return select.select(descriptors, [], [])[0]


def _mount(point: str, options: str) -> None:
    if _libc.mount(b"hanging", os.fsencode(point), b"fuse.hanging", 0, options.encode("ascii")):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), point)


def _answer(device: int) -> None:
    request = os.read(device, _LARGEST + 4096)
    _, code, unique, node, *_ = _HEADER.unpack_from(request)
    if code in (_FORGET, _FORGETS, _INTERRUPT):  # these want no answer
        return
    error, body = _reply(code, node, request[_HEADER.size :])
    os.write(device, _ANSWER.pack(_ANSWER.size + len(body), -error, unique) + body)


def _reply(code: int, node: int, body: bytes) -> tuple[int, bytes]:
    """The error, 0 for none, and what follows the answer's header."""
    if code == _INIT:
        _, _, readahead, _ = struct.unpack_from("<IIII", body)
        return 0, _VERSION.pack(7, 31, readahead, 0, 1, 1, _LARGEST, 1, 1, 0, 0)
    if code == _GETATTR and node == _ROOT:
        # Nothing may be remembered (0 s), or the kernel would answer for us.
        mode = stat.S_IFDIR | 0o777
        return 0, _ATTRIBUTES.pack(0, 0, 0, _ROOT, 0, 0, 0, 0, 0, 0, 0, 0, mode, 2, 0, 0, 0, 4096, 0)
    if code == _OPENDIR:
        return 0, _OPENED.pack(0, 0, 0)
    if code in (_READDIR, _RELEASEDIR, _RELEASE):
        return 0, b""
    if code == _STATFS:
        return 0, _FILESYSTEM.pack(1 << 20, 1 << 20, 1 << 20, 0, 0, 4096, 255, 4096, 0)
    return errno.ENOENT if code == _LOOKUP else errno.ENOSYS, b""


if __name__ == "__main__":
    main(sys.argv[1])
