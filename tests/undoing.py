"""What the tests share of what is done to library files: a house that moves files in, and what lies where."""

from __future__ import annotations

from pathlib import Path

from mediad.clock import Clock
from mediad.keeping.expiry_clock import Look
from tests.steering import House, Steering
from tests.trees import files

DAY = 86_400  # seconds


def moving(root: Path, layout: str = "{taken:%Y}/{name}") -> House:
    """A house whose inbox is a move watch."""
    (root / "house").mkdir()
    found = House(root / "house")
    found.settings["library"]["photos"]["layout"] = layout
    found.settings["watch"]["inbox"]["action"] = "move"
    return found


def inbox(house: House) -> dict[bytes, bytes]:
    return files(house.root / "inbox")


def library(house: House) -> dict[bytes, bytes]:
    return files(house.root / "photos", without={b".mediad"})


def trash(house: House) -> list[bytes]:
    """The contents in trash, without their reasons, sorted."""
    found = files(house.root / "photos/.mediad/trash")
    return sorted(content for name, content in found.items() if not name.endswith(b".reason.txt"))


def at(steering: Steering, days: float) -> None:
    """From now on it is so many days later for what lies in trash, by all clocks."""
    seconds = round(days * DAY)
    look = Look("boot", 1000 + seconds, Clock().micros() + seconds * 1_000_000)
    steering.pipeline.expirer._look = lambda: look
