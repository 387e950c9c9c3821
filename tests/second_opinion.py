"""ExifTool's readings of real media beside the daemon's: each disagreement, with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.truth import EARLIEST, Case, is_alone

# What ExifTool calls a capture date, the most trusted first. Its groups tell where a tag stood.
_CAPTURE = (
    *("ExifIFD:DateTimeOriginal", "CanonRaw:DateTimeOriginal", "FLIR:DateTimeOriginal", "Keys:CreationDate"),
    *("H264:DateTimeOriginal", "RIFF:DateTimeOriginal", "ExifIFD:CreateDate", "UserData:DateTimeOriginal"),
    *("ItemList:ContentCreateDate", "XMP-exif:DateTimeOriginal", "XMP-photoshop:DateCreated"),
    *("Composite:DateTimeOriginal", "QuickTime:CreateDate", "Matroska:DateTimeOriginal", "ASF:CreationDate"),
)
_STAMP = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_UTC = ("QuickTime:CreateDate", "ASF:CreationDate", "Matroska:DateTimeOriginal")


def disagreements(found: Sequence[Case]) -> list[str]:
    """A line for each file that was taken of which the two say different things; hostile ones left out."""
    judged = (case for case in found if not case.name.startswith("hostile/") and not is_alone(case))
    return [line for case in judged for line in _lines(case)]


def _lines(case: Case) -> Iterable[str]:
    if not case.exiftool or not case.outcome:
        return
    tag, theirs = _capture(case.exiftool)
    ours = case.taken
    if (ours and ours.replace(microsecond=0)) != theirs:
        yield f"{case.name}: {ours} ({case.source}), ExifTool {theirs} ({tag}): {_reason(case, tag, theirs)}"


def _capture(tags: Mapping[str, Any]) -> tuple[str, datetime | None]:
    for tag in _CAPTURE:
        match = _STAMP.match(str(tags.get(tag, "")))
        if match is not None:
            try:
                return tag, datetime(*(int(part) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
            except ValueError:
                continue
    return "-", None


def _reason(case: Case, tag: str, theirs: datetime | None) -> str:
    """Why the daemon is right to differ; "?" where nothing explains it."""
    if case.outcome == "ignored":
        return f"ignored: {case.reason}"
    if theirs is None:
        return {
            "filename": "ExifTool does not read dates in names",
            "takeout": "ExifTool does not read the sidecar of another file",
        }.get(case.source, f"a field that is no date of capture to ExifTool: {case.evidence.get('tag')}")
    if str(theirs) < EARLIEST:
        return "before the first day that is believed"
    if (theirs.month, theirs.day, theirs.hour, theirs.minute, theirs.second) == (1, 1, 0, 0, 0):
        return "a clock that was reset"
    if tag in _UTC and case.taken is not None:
        return (
            "ExifTool gives UTC as it stands; the daemon brings it to local time, or a name tells the start"
        )
    if case.item is not None and not case.is_principal:
        return "a companion, which has its principal's date"
    return "?"
