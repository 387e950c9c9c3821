"""`python -m tests.soak`: soak for a while; where something is wrong it says how to see it again."""

from __future__ import annotations

import argparse
import random
import sys

from tests.soak.soak import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="decides every choice")
    parser.add_argument("--minutes", type=float, default=10.0, help="for how long")
    parser.add_argument("--steps", type=int, default=sys.maxsize, help="for at most so many deeds")
    parser.add_argument("--keep", action="store_true", help="leave all folders as they are")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    told = soak(arguments.seed, arguments.minutes * 60, steps=arguments.steps, keep=arguments.keep)
    print(told.report() if told.wrong else told)
    print(", ".join(f"{name} {count}" for name, count in sorted(told.deeds.items())))
    return int(bool(told.wrong))


if __name__ == "__main__":
    sys.exit(main())
