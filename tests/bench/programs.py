"""The programs that are measured: how each is set up and started."""

from __future__ import annotations

import json
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

MEDIAD_CONFIG = """\
[library.bench]
path = {library}
layout = "{{taken:%Y}}/{{taken:%Y-%m-%d}}/{{name}}"
min_free = "1MB"

[watch.camera]
path = {inbox}
action = "move"

[daemon]
state_dir = {state}
socket = {socket}
"""

ORGANIZE_CONFIG = """\
rules:
  - locations:
      - {inbox}
    subfolders: true
    filters:
      - exif
    actions:
      - move: {target}
"""
# organize's own template language; its names are those of the EXIF fields.
TAKEN = "exif.exif.datetimeoriginal"
ORGANIZE_FOLDER = f"{{{TAKEN}.strftime('%Y')}}/{{{TAKEN}.strftime('%Y-%m-%d')}}/"


class Program(ABC):
    """A program that moves the files of `inbox` into the day folders of `library`, both in `folder`."""

    name: str

    def __init__(self, program: Path) -> None:
        self.program = program.absolute()

    @abstractmethod
    def command(self, folder: Path) -> list[str]:
        """Write the configuration into `folder`, and return the command that does the work."""

    def version(self) -> str:
        """What the program says that it is."""
        shown = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True)
        return f"{self.name} {shown.stdout.split()[-1].lstrip('v')}"

    def seconds(self, folder: Path) -> float:
        """Do the work in `folder`, and return how long it took, from start to exit."""
        command = self.command(folder)
        home = folder / "home"
        home.mkdir()
        environment = {"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C.UTF-8"}
        with (folder / "log").open("wb") as log:
            os.sync()
            start = time.perf_counter()
            done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
            taken = time.perf_counter() - start
        if done.returncode:
            last = (folder / "log").read_text(errors="replace")[-2000:]
            raise SystemExit(f"{self.name} exited {done.returncode}:\n{last}")
        return taken


class Mediad(Program):
    """This project, with a new catalogue."""

    name = "mediad"

    def command(self, folder: Path) -> list[str]:
        paths = {name: folder / name for name in ("library", "inbox", "state", "socket")}
        config = folder / "mediad.toml"
        config.write_text(MEDIAD_CONFIG.format(**_quoted(paths)), encoding="utf-8")
        return [str(self.program), "run", "--once", "--config", str(config)]


class Organize(Program):
    """organize (organize-tool), which moves by rules; it neither hashes nor keeps a journal."""

    name = "organize"
    options: tuple[str, ...] = ()

    def command(self, folder: Path) -> list[str]:
        config = folder / "organize.yaml"
        paths = {"inbox": folder / "inbox", "target": f"{folder}/library/{ORGANIZE_FOLDER}"}
        config.write_text(ORGANIZE_CONFIG.format(**_quoted(paths)), encoding="utf-8")
        return [str(self.program), "run", *self.options, str(config)]


class QuietOrganize(Organize):
    """organize without its two lines for each file, which take it half of its time."""

    name = "organize, quiet"
    options = ("--format", "errorsonly")


def _quoted(values: Mapping[str, object]) -> dict[str, str]:
    # TOML and YAML both take a JSON string.
    return {name: json.dumps(str(value), ensure_ascii=False) for name, value in values.items()}
