"""Finding and reading the configuration file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from mediad.config import Config, parse_all
from mediad.errors import InvalidConfig, printable
from mediad.roots import look_over

SYSTEM_FILE = "/etc/mediad/config.toml"
_LARGEST = 4 * 1024 * 1024  # bytes; no configuration, but what /dev/zero would fill memory with


def home() -> str:
    """The home folder, "" if there is none."""
    found = os.path.expanduser("~")
    return found if found.startswith("/") else ""


def user_file(env: Mapping[str, str]) -> str:
    """Where a user's configuration belongs (XDG base directories), "" without a home folder."""
    base = env.get("XDG_CONFIG_HOME", "")
    if base.startswith("/"):
        return os.path.join(base, "mediad", "config.toml")
    return os.path.join(home(), ".config", "mediad", "config.toml") if home() else ""


def find(given: str | None, env: Mapping[str, str]) -> str:
    """The file to read: `given`, $MEDIAD_CONFIG, else the first that exists.

    Raises:
        InvalidConfig: there is none.
    """
    if chosen := given or env.get("MEDIAD_CONFIG"):
        return chosen
    places = list(_places(env))
    for place in places:
        if os.path.lexists(place):
            return place
    looked = ", ".join(printable(place) for place in places)
    raise InvalidConfig([f"no configuration in {looked} (`mediad init` writes one, --config names another)"])


def load(
    given: str | None, *, overrides: Mapping[str, str], env: Mapping[str, str] = os.environ
) -> tuple[Config, str]:
    """Finds, reads and parses the configuration; returns it and the absolute path of its file.

    Raises:
        InvalidConfig: there is none, it cannot be read, or it is wrong.
    """
    file = os.path.abspath(find(given, env))
    config, problems = parse_all(_read(file), file=file, env=env, home=home(), overrides=overrides)
    if problems:  # then nobody else looks for those that only the system shows
        raise InvalidConfig([*problems, *look_over(config).problems])
    return config, file


def _places(env: Mapping[str, str]) -> Iterator[str]:
    if user := user_file(env):
        yield user
    yield SYSTEM_FILE


def _read(file: str) -> str:
    try:
        with open(file, "rb", opener=_open) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise InvalidConfig([printable(f"{file}: is no regular file; a configuration has to be one")])
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InvalidConfig([printable(f"{file}: cannot be read: {error.strerror}")]) from None
    if len(data) > _LARGEST:
        raise InvalidConfig([printable(f"{file}: is larger than {_LARGEST // 1024**2} MiB")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidConfig([printable(f"{file}:{line}: is not UTF-8; TOML has to be")]) from None


def _open(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NONBLOCK | os.O_NOCTTY)  # a FIFO would wait for its writer
