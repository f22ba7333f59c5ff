"""Run commands at the same time, `//` between them; fail if one of them does.

uv run python tools/side_by_side.py first --option // second
"""

import subprocess
import sys
from collections.abc import Iterable


def commands(arguments: Iterable[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "//":
            found.append([])
        else:
            found[-1].append(argument)
    return found


def main(arguments: Iterable[str]) -> int:
    running = [subprocess.Popen(command) for command in commands(arguments)]
    ended = [process.wait() for process in running]  # of all, also behind one that fails
    return int(any(ended))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
