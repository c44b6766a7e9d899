"""Makes one part of the lab: `python -m lab.making PART FOLDER [CHANNEL]`. Run by `lab.build`."""

import subprocess
import sys
from pathlib import Path

from lab.making.channel import make_channel
from lab.making.dataset import make_dataset
from lab.making.installer import make_installer


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["channel", folder]:
                make_channel(Path(folder))
            case ["installer", folder, channel]:
                make_installer(Path(folder), Path(channel))
            case ["dataset", folder]:
                make_dataset(Path(folder))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except subprocess.CalledProcessError as error:
        output = error.stderr.decode() if isinstance(error.stderr, bytes) else error.stderr
        print(output or "", f"{error.cmd[0]} exited with {error.returncode}", sep="\n", file=sys.stderr)
        return 1
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
