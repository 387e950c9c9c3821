"""The programs' commands and options, as argparse knows them."""

from __future__ import annotations

import argparse

from mediad.cli import arguments, main

PROGRAMS = {"mediad": main._parser, "mediactl": arguments.parser}


def commands(name: str) -> dict[str, set[str]]:
    """Every command of a program with its options; the program's own under ""."""
    parser = PROGRAMS[name]()
    found = {"": _options(parser)}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {command: _options(its_own) for command, its_own in action.choices.items()}
    return found


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}
