"""Being somebody else, which takes root."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

# Started as root: the interpreter may lie where nobody else may look.
_BECOME = "import os, sys; os.setgroups({groups}); os.setgid({gid}); os.setuid({uid})\n"


def command(program: str, uid: int, gid: int, groups: Sequence[int] = ()) -> list[str]:
    """The command that runs a Python program as somebody else; arguments may follow.

    The program has os, sys, json and socket; it may not be able to import more.
    """
    become = _BECOME.format(groups=list(groups), gid=gid, uid=uid)
    return [sys.executable, "-I", "-c", "import json, socket\n" + become + program]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach, as tmp_path is not."""
    folder = Path(mkdtemp(prefix="mediad-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
