"""The configuration: TOML to frozen values, every problem at once. PURE.

`schema` has the values, `keys` every key with its reader and default, `parse` brings them together,
`checks` looks at what is wrong between them.
"""

from mediad.config.parse import parse, parse_all
from mediad.config.schema import (
    Config,
    Daemon,
    Dates,
    Duplicates,
    Hook,
    Library,
    Root,
    Rule,
    Trash,
    Verify,
    Watch,
)
from mediad.config.units import format_duration, format_size, parse_duration, parse_size

__all__ = [
    "Config",
    "Daemon",
    "Dates",
    "Duplicates",
    "Hook",
    "Library",
    "Root",
    "Rule",
    "Trash",
    "Verify",
    "Watch",
    "format_duration",
    "format_size",
    "parse",
    "parse_all",
    "parse_duration",
    "parse_size",
]
