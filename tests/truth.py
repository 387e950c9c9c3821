"""What the daemon makes of real media whose truth is known, as a table: `python -m tests.truth`.

A collection is a folder with a MANIFEST.csv that says of each file when it was taken, its camera and its
size. The daemon files all of it in one run, and what its catalogue says then is held against the manifest. A
row is firm if it states the local time of capture and that rests on more than a date of editing. Sets are
judged by their principal. With `--exiftool`, ExifTool's readings are held against the daemon's, and every
disagreement is told with its reason.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from tests.system.daemon import Daemon

MEDIA = Path(__file__).parents[2] / "shared" / "media"
ZONE = "Europe/Berlin"
EARLIEST = "1990-01-01"

Row = dict[str, str]

_SIZELESS = ("XMP", "FLAC", "WAV")  # the size of another picture, or of a cover
_LIVE = timedelta(seconds=2)  # the halves of a Live Photo begin that far apart
_ARRIVALS = """
    SELECT arrival.path, arrival.outcome, arrival.reason, arrival.kind, arrival.taken, arrival.offset_min,
        arrival.source, arrival.confidence, arrival.evidence, step.item, step.id
    FROM arrival LEFT JOIN step ON step.arrival = arrival.id AND step.state = 'done' ORDER BY arrival.id
"""


@dataclass(frozen=True)
class Case:
    """A row of the manifest, and what the catalogue says of its file."""

    row: Row
    path: Path
    outcome: str
    reason: str
    kind: str
    taken: datetime | None
    offset: int | None
    source: str
    confidence: str
    evidence: dict[str, Any]
    item: int | None
    is_principal: bool
    exiftool: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.row["file"]

    @property
    def format(self) -> str:
        return self.row["true_type"] or "-"


def rows(media: Path = MEDIA) -> list[Row]:
    """The manifest; empty where there is none."""
    manifest = media / "MANIFEST.csv"
    if not manifest.is_file():
        return []
    with manifest.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def cases(media: Path, root: Path) -> list[Case]:
    """File the collection in one run, and read what became of each file.

    Args:
        media: the collection; it is not touched.
        root: an empty folder.
    """
    # The daemon's own file system rules apply to the collection as to any watch: it is copied from.
    watches = {"inbox": {"path": str(media), "action": "copy", "settle": "0s"}}
    dates = {"timezone": ZONE, "mtime": "never", "earliest": EARLIEST}
    more = {"dates": dates, "daemon": {"log_level": "info"}, "duplicates": {"similar": "off"}}
    with Daemon(root, watches=watches, more=more, start=False) as daemon:
        ended = daemon.run_once()
        assert ended.code in (0, 3), "\n".join(ended.lines[-40:])
        found = {os.fsdecode(row[0]): row for row in daemon.query(_ARRIVALS)}
    second = exiftool(media)
    return [
        _case(row, media / row["file"], found.get(row["file"]), second.get(row["file"], {}))
        for row in rows(media)
    ]


def exiftool(media: Path) -> dict[str, dict[str, Any]]:
    """Every tag that ExifTool reads, by file below the collection; empty where it is not installed."""
    if shutil.which("exiftool") is None:
        return {}
    command = ["exiftool", "-json", "-G1", "-a", "-r", "-q", "."]
    done = subprocess.run(command, cwd=media, capture_output=True, timeout=240, check=False)
    return {one["SourceFile"].removeprefix("./"): one for one in json.loads(done.stdout)}


def _case(row: Row, path: Path, found: Sequence[Any] | None, second: Mapping[str, Any]) -> Case:
    if found is None:
        return Case(row, path, "", "never seen", "", None, None, "", "", {}, None, False, second)
    _, outcome, reason, kind, taken, offset, source, confidence, evidence, item, step = found
    moment = datetime.fromisoformat(taken) if taken else None
    told = json.loads(evidence or "{}")
    return Case(
        row,
        path,
        outcome or "",
        reason,
        kind or "",
        moment,
        offset,
        source or "",
        confidence or "",
        told,
        item,
        item == step,
        second,
    )


# --- Judgement -----------------------------------------------------------------------------------


def is_firm(row: Row) -> bool:
    """Does the manifest know when it was taken?"""
    expected = row["expected_local"]
    return bool(expected) and "weak" not in row["date_basis"] and expected >= EARLIEST


def is_early(row: Row) -> bool:
    """Was it taken before the first day that is believed?"""
    return "" < row["expected_local"] < EARLIEST


def judged_by(case: Case, cases: Iterable[Case]) -> Case:
    """The principal of its set."""
    if case.item is None or case.is_principal:
        return case
    return next((one for one in cases if one.item == case.item and one.is_principal), case)


def verdict(case: Case) -> str:
    """ "right", "wrong" or "abstained", by the local time and, where the manifest states it, the offset."""
    expected = datetime.fromisoformat(case.row["expected_local"])
    if case.taken is None:
        return "abstained"
    fraction = "." in case.row["expected_local"]
    ours = case.taken if fraction else case.taken.replace(microsecond=0)
    slack = _LIVE if case.row["live_id"] else timedelta(milliseconds=1)
    offset = case.row["expected_offset"]
    if abs(ours - expected) > slack:
        return "wrong"
    return "wrong" if offset and case.offset is not None and case.offset != minutes(offset) else "right"


def minutes(offset: str) -> int:
    """Of "+01:00"."""
    hours, _, rest = offset[1:].partition(":")
    found = int(hours) * 60 + int(rest or "0")
    return -found if offset[0] == "-" else found


def offset_verdict(case: Case) -> str:
    if case.offset is None:
        return "abstained"
    return "right" if case.offset == minutes(case.row["expected_offset"]) else "wrong"


def camera_verdict(case: Case) -> str:
    ours = (case.evidence.get("make", ""), case.evidence.get("model", ""))
    truth = (case.row["make"].strip(), case.row["model"].strip())
    if not any(ours):
        return "abstained"
    agree = all(not right or left == right for left, right in zip(ours, truth, strict=True))
    return "right" if agree else "wrong"


def size_verdict(case: Case) -> str:
    """The manifest has what some field claims, often of another picture: Pillow and ExifTool are heard."""
    ours = (case.evidence.get("width"), case.evidence.get("height"))
    if not any(ours):
        return "abstained"
    stored = (int(case.row["width"]), int(case.row["height"]))
    # libheif tells a picture's size as shown, the manifest as stored
    shown = stored[::-1] if case.row["true_type"] in ("HEIC", "HEIF", "AVIF") else stored
    told = f"{ours[0]}x{ours[1]}"
    agree = ours in (stored, shown, _pixels(case.path)) or told == case.exiftool.get("Composite:ImageSize")
    return "right" if agree else "wrong"


def _pixels(path: Path) -> tuple[int, int] | None:
    """The size that Pillow finds."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError):
        return None


def _has_camera(row: Row) -> bool:
    """A make that is a number is a code that ExifTool has no name for."""
    return bool(row["make"]) and row["true_type"] != "XMP" and not row["make"].isdigit()


def _has_size(row: Row) -> bool:
    """A size that a picture can have: 0 is none, and beyond 65,535 the field was a fixed-point number."""
    sides = [int(row[side] or 0) for side in ("width", "height")]
    return row["true_type"] not in _SIZELESS and all(0 < side < 65536 for side in sides)


Judge = Callable[[Case], str]
SUBJECTS: dict[str, tuple[Callable[[Row], bool], Judge]] = {
    "dates": (is_firm, verdict),
    "offsets": (lambda row: is_firm(row) and bool(row["expected_offset"]), offset_verdict),
    "cameras": (_has_camera, camera_verdict),
    "sizes": (_has_size, size_verdict),
}


def judged(found: Sequence[Case], subject: str) -> list[tuple[Case, str]]:
    """The files that the manifest knows this of, each with the verdict. Hostile ones are judged elsewhere."""
    wanted, judge = SUBJECTS[subject]
    return [
        (case, judge(case) if subject != "dates" else _by_principal(case, found))
        for case in found
        if wanted(case.row) and not case.name.startswith("hostile/") and not is_alone(case)
    ]


def is_alone(case: Case) -> bool:
    """A sidecar whose principal is not there: it is not filed, and nothing is told of it."""
    return case.row["true_type"] in ("XMP", "AAE", "JSON") and case.outcome == "ignored"


def _by_principal(case: Case, found: Sequence[Case]) -> str:
    principal = judged_by(case, found)
    if principal is not case and is_firm(principal.row):
        return verdict(principal)
    return verdict(case)


# --- The table -----------------------------------------------------------------------------------

_VERDICTS = ("right", "abstained", "wrong")


def table(found: Sequence[Case]) -> str:
    """Every subject by format, and the dates by where they came from."""
    parts = []
    for subject in SUBJECTS:
        results = judged(found, subject)
        parts.append(_counted(subject, [(case.format, result) for case, result in results]))
        if subject == "dates":
            sources = [(case.source or "-", result) for case, result in results]
            parts.append(_counted("dates by source", sources))
    parts.append(_sets(found))
    parts += ["\n".join(_exceptions(found, subject)) for subject in SUBJECTS]
    return "\n\n".join(part for part in parts if part)


def _counted(title: str, results: Iterable[tuple[str, str]]) -> str:
    counts: dict[str, Counter[str]] = {}
    for name, result in results:
        counts.setdefault(name, Counter())[result] += 1
    counts["all"] = sum(counts.values(), Counter())
    head = f"{title:18}" + "".join(f"{name:>11}" for name in _VERDICTS)
    lines = [
        f"{name:18}" + "".join(f"{count[one]:11}" for one in _VERDICTS)
        for name, count in sorted(counts.items())
    ]
    return "\n".join((head, *lines))


def _exceptions(found: Sequence[Case], subject: str) -> Iterable[str]:
    for case, result in judged(found, subject):
        if result == "right":
            continue
        truth = {
            "dates": case.row["expected_local"],
            "offsets": case.row["expected_offset"],
            "cameras": f"{case.row['make']} / {case.row['model']}",
            "sizes": f"{case.row['width']} x {case.row['height']}",
        }[subject]
        ours = {
            "dates": f"{case.taken} ({case.source})",
            "offsets": str(case.offset),
            "cameras": f"{case.evidence.get('make', '')} / {case.evidence.get('model', '')}",
            "sizes": f"{case.evidence.get('width')} x {case.evidence.get('height')}",
        }[subject]
        yield f"{subject}: {result}: {case.name}: is {truth}, told as {ours}"


def sets(found: Sequence[Case]) -> list[tuple[str, tuple[str, ...]]]:
    """Principal and companions of each set of more than one file."""
    members: dict[int, list[Case]] = {}
    for case in found:
        if case.item is not None:
            members.setdefault(case.item, []).append(case)
    told = []
    for group in members.values():
        principal = next((one.name for one in group if one.is_principal), "")
        if len(group) > 1:
            told.append((principal, tuple(sorted(one.name for one in group if not one.is_principal))))
    return sorted(told)


def _sets(found: Sequence[Case]) -> str:
    lines = [
        f"  {principal} + {', '.join(os.path.basename(one) for one in rest)}"
        for principal, rest in sets(found)
    ]
    return "\n".join(("sets", *lines))


def outcomes(found: Sequence[Case]) -> str:
    """Counts of what became of the files."""
    counted = Counter(case.outcome or "never seen" for case in found)
    return ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("media", nargs="?", type=Path, default=MEDIA, help="a folder with a MANIFEST.csv")
    parser.add_argument("--exiftool", action="store_true", help="list where ExifTool says something else")
    arguments = parser.parse_args()
    media = arguments.media
    if not rows(media):
        sys.exit(f"{media} has no MANIFEST.csv")
    with tempfile.TemporaryDirectory() as folder:
        found = cases(media.resolve(), Path(folder))
    print(f"{len(found)} files: {outcomes(found)}\n")
    print(table(found))
    if arguments.exiftool:
        from tests import second_opinion  # which builds on this module

        lines = second_opinion.disagreements(found)
        print(f"\n{len(lines)} disagreements with ExifTool", *lines, sep="\n  ")


if __name__ == "__main__":
    main()
