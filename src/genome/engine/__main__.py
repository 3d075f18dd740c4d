"""Commands for the workflow's main process: `own PID` prints a new GENOME_OWNER, `stop TOKEN` ends its engine."""

import sys

from genome.engine.owner import owner_token
from genome.engine.state import stop


def main(action: str, value: str) -> None:
    """Do what an action names."""
    if action == "own":
        print(owner_token(int(value)))
    else:
        stop(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
