"""The process of the fake: `python -m tests.builders.azure.fake.server`. It ends when its standard input does."""

import argparse
import ssl
import sys
import threading
from pathlib import Path
from typing import cast

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.builders.aws.fake.machines import Sandboxes
from tests.builders.aws.fake.network import Network
from tests.builders.azure.fake.control import Control
from tests.builders.azure.fake.gate import Gate
from tests.builders.azure.fake.journal import Journal
from tests.builders.azure.fake.wiring import watch
from tests.builders.azure.fake.world import world


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
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--machines", choices=("none", "sandbox"), default="none")
    parser.add_argument("--tree", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--ssh-port", type=int, default=22)
    options = parser.parse_args()
    world.settings.machines = options.machines
    world.settings.ssh_port = options.ssh_port
    if options.machines == "sandbox":
        world.machines = Sandboxes(options.tree, options.folder)
        world.network = Network(options.ssh_port)
    watch()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    application = Control(Gate(Journal(options.journal)))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet, ssl_context=context)
    # Each connection shakes hands in its own thread: one that is slow about it keeps no other waiting.
    cast(ssl.SSLSocket, server.socket).do_handshake_on_connect = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
