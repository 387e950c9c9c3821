"""The evidence that the catalogue keeps of a file, read. PURE.

Most of it is a worker's word that nobody has checked: what has another type than it should is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from mediad.control.protocol import offset_text
from mediad.keeping.stated import Stated
from mediad.shell import word
from mediad.steering.fields import local_text

_HALF = re.compile("[\ud800-\udfff]")
_WIDEST_OFFSET = 24 * 60


@dataclass(frozen=True, slots=True)
class Evidence:
    """What `media.conclude` and `ingest.record` wrote of one file."""

    _found: dict[str, object]

    @classmethod
    def read(cls, text: str | None) -> Evidence:
        """Read it; whatever is no JSON object is empty."""
        try:
            found = json.loads(text or "{}")
        except (ValueError, RecursionError):
            found = None
        return cls(found if isinstance(found, dict) else {})

    def text(self, key: str) -> str:
        """What stands under this key, "" if that is no text."""
        return _text(self._found, key)

    def texts(self, key: str) -> list[str]:
        """The texts in the list under this key."""
        return [_whole(one) for one in _list(self._found, key) if isinstance(one, str)]

    def candidates(
        self, source: str | None, late: Sequence[Stated] = (), command: str = "", lead: str | None = None
    ) -> list[dict[str, object]]:
        """Every date candidate, as replies have them.

        Args:
            source: of the date that was chosen, None if none was; `tag` names its field.
            late: those of members of its set that came later, and `command` what takes one, up to its
                source.
            lead: the name of the file that this is the evidence of, where that is not the one asked for.
        """
        found = [
            cast("dict[str, object]", one) for one in _list(self._found, "candidates") if type(one) is dict
        ]
        told = [_candidate(one) for one in found]
        told += [_late(one, command) for one in late]
        winner = (source, self.text("tag"), self.text("sidecar") or None)
        for one in told:
            if source and (one["source"], one["tag"], one["sidecar"]) == winner and one["moment"]:
                one["won"], one["command"] = True, None
                break
        return [{**one, "sidecar": one["sidecar"] or lead} for one in told]


def _candidate(found: dict[str, object]) -> dict[str, object]:
    offset = found.get("offset")
    known = type(offset) is int and abs(offset) <= _WIDEST_OFFSET
    return {
        "source": _text(found, "source"),
        "tag": _text(found, "tag"),
        "raw": _text(found, "raw"),
        "moment": _moment(_text(found, "moment")),
        "offset": offset_text(cast("int", offset)) if known else None,
        "doubt": _text(found, "doubt"),
        "sidecar": _text(found, "sidecar") or None,
        "won": False,
        "command": None,
    }


def _late(stated: Stated, command: str) -> dict[str, object]:
    one = stated.candidate
    found: dict[str, object] = {
        "source": one.source,
        "tag": one.tag,
        "raw": one.raw,
        "moment": one.moment.isoformat() if one.moment else "",
        "offset": one.offset_minutes,
        "doubt": one.doubt,
        "sidecar": stated.file,
    }
    return {**_candidate(found), "command": f"{command} {word(one.source.encode())}" if one.moment else None}


def _moment(text: str) -> str | None:
    try:
        return local_text(datetime.fromisoformat(text).replace(tzinfo=None).isoformat())
    except ValueError:
        return None


def _list(found: dict[str, object], key: str) -> list[object]:
    value = found.get(key)
    return value if isinstance(value, list) else []


def _text(found: dict[str, object], key: str) -> str:
    value = found.get(key)
    return _whole(value) if isinstance(value, str) else ""


def _whole(text: str) -> str:
    """Half of a surrogate pair cannot be sent."""
    return text if text.isascii() else _HALF.sub("\ufffd", text)
