"""What `--json` prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from mediad.cli.output import say


def say_document(document: Mapping[str, object]) -> None:
    """The one document of a command: on a terminal in many lines, else in one."""
    say(json.dumps(document, ensure_ascii=_is_ascii(), indent=2 if sys.stdout.isatty() else None))


def say_line(document: Mapping[str, object], *, at_once: bool = False) -> None:
    """One of many objects, each on a line, in ASCII: there are readers to which U+2028 ends a line, too.

    Args:
        at_once: the reader waits for it.
    """
    say(json.dumps(document, separators=(",", ":")), at_once=at_once)


def _is_ascii() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
