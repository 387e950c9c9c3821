"""What an error of the system means on either side, and what is done about it."""

from __future__ import annotations

import errno

import pytest

from mediad.errors import Exhausted, LibraryOffline, MediadError, NotStorable, Retry, Unreadable
from mediad.faults import EXHAUSTED, LIBRARY, SOURCE, library_error, source_error, system_error

A, L, H, N = Retry.AGAIN, Retry.LATER, Retry.HOLD, Retry.NEVER

# error: what is done of a file in a watch, and of one in a library
DONE = {
    errno.ENOSPC: (L, H),
    errno.EDQUOT: (L, H),
    errno.EIO: (L, L),
    errno.EACCES: (L, L),
    errno.EPERM: (L, L),
    errno.EROFS: (L, H),
    errno.EMFILE: (L, L),
    errno.ENFILE: (L, L),
    errno.ENOMEM: (L, L),
    errno.ENAMETOOLONG: (L, L),
    errno.ESTALE: (L, H),
    errno.EXDEV: (N, N),
    errno.ENOENT: (A, H),
    errno.EEXIST: (L, A),
    errno.ENODEV: (L, H),
}


@pytest.mark.parametrize("code", DONE)
def test_what_is_done(code: int) -> None:
    done = tuple(classify(OSError(code, "x"), b"p").retry for classify in (source_error, library_error))
    assert done == DONE[code]


@pytest.mark.parametrize("code", [code for code in DONE if code != errno.EEXIST])
def test_each_is_in_the_table(code: int) -> None:
    assert code in LIBRARY
    assert code in SOURCE or code == errno.ENODEV


@pytest.mark.parametrize("code", sorted(EXHAUSTED))
def test_what_we_lack_is_nobodys_fault(code: int) -> None:
    for classify in (source_error, library_error, system_error):
        assert isinstance(classify(OSError(code, "x"), b"p"), Exhausted)


def test_the_reason_is_told_with_the_path() -> None:
    error = library_error(OSError(errno.ENAMETOOLONG, "File name too long"), b"2021/x.jpg")
    assert isinstance(error, NotStorable)
    assert str(error) == "2021/x.jpg: the name is too long for its filesystem; shorten the layout"
    assert isinstance(library_error(OSError(errno.ESTALE, "x"), b"p"), LibraryOffline)


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_no_error_of_the_system_condemns_a_file(code: int) -> None:
    for classify in (source_error, library_error, system_error):
        error = classify(OSError(code, "x"), b"p")
        assert isinstance(error, MediadError)
        assert not isinstance(error, Unreadable)
        assert error.message
