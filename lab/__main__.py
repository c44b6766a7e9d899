"""The lab's command line: `python -m lab build | serve | run -- COMMAND...`; see `python -m lab --help`."""

import argparse
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lab.build import PROJECT, Lab, LabError, build
from lab.cache import Cache
from lab.command import run_command
from lab.serving import serving


def main() -> int:
    arguments = _parser().parse_args()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _exit)
    cache = Cache.from_environment(PROJECT)
    try:
        lab = build(cache)
        match arguments.command:
            case "build":
                return _tell(lab)
            case "serve":
                return _serve(lab, arguments.mirrors or cache.path / "mirrors.toml", arguments)
            case _:
                return _run(lab, arguments.argv)
    except (LabError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _tell(lab: Lab) -> int:
    print("the lab is made:")
    for folder in lab.folders:
        print(f"  {folder}")
    return 0


def _serve(lab: Lab, mirrors: Path, arguments: argparse.Namespace) -> int:
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    ports = {"http_port": arguments.http_port, "sftp_port": arguments.sftp_port}
    with serving(lab, mirrors.absolute(), **ports) as served:
        print(f"the lab serves until Ctrl-C:\n{served.describe()}\nto bake against it:", flush=True)
        for name, value in served.environment.items():
            print(f"  export {name}={value}", flush=True)
        stop.wait()
    print("the lab has stopped")
    return 0


def _run(lab: Lab, command: list[str]) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="lab-") as folder,
        serving(lab, Path(folder) / "mirrors.toml") as served,
    ):
        return run_command(command, served.environment)


def _exit(signum: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)  # SystemExit, so that what is half-made is removed on the way out


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="Serves what recipes fetch, where the world cannot be reached. Servers listen on 127.0.0.1 only.",
        epilog="Everything is kept in .lab/ of the project, or in $BAKER_LAB.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("build", help="make what is missing")
    serve = commands.add_parser("serve", help="serve until stopped")
    serve.add_argument("--mirrors", type=Path, metavar="FILE", help="mirrors file to write (.lab/mirrors.toml)")
    serve.add_argument("--http-port", type=int, default=0, metavar="PORT", help="default: any free port")
    serve.add_argument("--sftp-port", type=int, default=0, metavar="PORT", help="default: any free port")
    run = commands.add_parser("run", help="serve while a command runs", usage="%(prog)s -- COMMAND...")
    run.add_argument("argv", nargs="+", metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
