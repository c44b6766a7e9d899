"""Starts the lab's servers on loopback ports, tells where they are, and stops them."""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.build import Lab
from lab.cache import in_use
from lab.http_server import LabHttpServer
from lab.mirrors_file import Endpoints, host_settings, mirrors_text
from lab.names import CHANNEL, DATASET, INSTALLER, PASSWORD_VARIABLE, REPOSITORY, SFTP_USER
from lab.repository import commit_of
from lab.sftp_server import LabSftpServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A lab that serves. `mirrors` is the file for `$BAKER_MIRRORS`; `password` is the sftp user's."""

    endpoints: Endpoints
    commit: str
    mirrors: Path
    password: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which `bake recipes/ocean.py` finds the lab."""
        return {"BAKER_MIRRORS": str(self.mirrors), PASSWORD_VARIABLE: self.password}

    def describe(self) -> str:
        """What is served where, for a person."""
        web = f"http://127.0.0.1:{self.endpoints.http_port}"
        return (
            f"  conda channel  {web}/conda/{CHANNEL}\n"
            f"  installer      {web}/installer/{INSTALLER}\n"
            f"                 sha256 {self.endpoints.installer_sha256}\n"
            f"  git            {web}/git/github.com/{REPOSITORY}\n"
            f"                 commit {self.commit}\n"
            f"  sftp           sftp://{SFTP_USER}@127.0.0.1:{self.endpoints.sftp_port}/{DATASET}\n"
            f"                 host key {self.endpoints.sftp_host_key}\n"
            f"  mirrors file   {self.mirrors}"
        )


@contextmanager
def serving(lab: Lab, mirrors: Path, *, http_port: int = 0, sftp_port: int = 0) -> Iterator[Serving]:
    """Serve `lab` while the context is open; port 0 is any free one.

    The file `mirrors` is written when everything answers, and removed at the end. The password is
    `$OCEAN_DATA_PASSWORD` when that is set, else a new one. OSError when a port is taken.
    """
    password = os.environ.get(PASSWORD_VARIABLE) or secrets.token_urlsafe(16)
    with ExitStack() as stack:
        stack.enter_context(in_use(lab.folders))
        web = stack.enter_context(
            LabHttpServer(http_port, {"conda": lab.channel, "installer": lab.installer}, lab.repository)
        )
        threading.Thread(target=web.serve_forever, name="lab-http", daemon=True).start()
        stack.callback(web.shutdown)
        data = LabSftpServer(sftp_port, lab.dataset, user=SFTP_USER, password=password)
        stack.callback(data.close)
        endpoints = Endpoints(
            http_port=web.port,
            sftp_port=data.port,
            sftp_host_key=data.host_key,
            installer_name=INSTALLER,
            installer_sha256=(lab.installer / f"{INSTALLER}.sha256").read_text().split()[0],
        )
        stack.callback(mirrors.unlink, missing_ok=True)
        mirrors.parent.mkdir(parents=True, exist_ok=True)
        partial = mirrors.with_name(f"{mirrors.name}.partial")
        partial.write_text(mirrors_text(endpoints, host_settings(lab.tools_python)))
        partial.rename(mirrors)
        yield Serving(endpoints=endpoints, commit=commit_of(lab.repository), mirrors=mirrors, password=password)
