"""The process of the fake: `python -m tests.builders.aws.fake.server`. It ends when its standard input does."""

import argparse
import os
import sys
import threading
from pathlib import Path

os.environ.update(  # before moto is imported
    {
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
        "MOTO_ALLOW_NONEXISTENT_REGION": "false",
        "AWS_ACCESS_KEY_ID": "none",  # moto makes boto3 sessions of its own
        "AWS_SECRET_ACCESS_KEY": "none",
    }
)

from werkzeug.serving import WSGIRequestHandler, make_server

from baker.home import Home
from tests.builders.aws.fake.control import Control
from tests.builders.aws.fake.gate import Gate
from tests.builders.aws.fake.install import install
from tests.builders.aws.fake.machines import Sandboxes
from tests.builders.aws.fake.network import Network
from tests.builders.aws.fake.virtual import VirtualMachines
from tests.builders.aws.fake.wiring import watch_instances
from tests.builders.aws.fake.world import world


class _Quiet(WSGIRequestHandler):
    """The journal says it better."""

    protocol_version = "HTTP/1.1"

    def connection_dropped(self, error: BaseException, environ: object = None) -> None:
        """What is lost is noticed at once, and not when somebody's patience is over."""
        self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def main() -> None:
    """Serve on a port of 127.0.0.1, whose number is printed, until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--machines", choices=("none", "sandbox", "qemu"), default="none")
    parser.add_argument("--tree", type=Path, help="what sandboxes stand on; for virtual machines a source image")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--ssh-port", type=int, default=22)
    options = parser.parse_args()
    install()
    world.settings.machines = options.machines
    world.settings.ssh_port = options.ssh_port
    if options.machines == "sandbox":
        world.machines = Sandboxes(options.tree, options.folder)
    if options.machines == "qemu":
        world.machines = VirtualMachines(options.tree, options.folder, Home.from_environment())
    if options.machines != "none":
        world.network = Network(options.ssh_port)
    watch_instances()
    server = make_server("127.0.0.1", 0, Control(Gate(options.journal)), threaded=True, request_handler=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
