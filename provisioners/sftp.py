"""Data from an sftp server, relayed through the baking host: the server's credential never reaches the machine."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from baker.errors import RecipeError, StepError
from baker.fields import require_path, require_types
from baker.provisioner import Fetch, Remote, Requirements, SftpSource, TransferredFile, is_host_key
from provisioners.fields import require_owner


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpImport:
    """Copies the folder (what is below it) or file of `source` to `target` on the machine.

    Files that are already there with the right size and sum are not sent again, and a transfer that broke off goes
    on where it was. Each file is verified by size and SHA-256; the server must show the host key of `source`.

    A source without a single file is a StepError: as a rule the path is wrong, or what should lie there has gone.
    """

    revision: ClassVar[int] = 1

    source: SftpSource
    target: str
    owner: str = "root:root"

    def __post_init__(self) -> None:
        require_types(self)
        parts = urlsplit(self.source.url)
        if parts.username or parts.password:
            raise RecipeError(
                f"the url of the sftp server {parts.hostname or ''} holds a user or a password",
                hint="write SftpSource(url=..., user=..., password=Secret.from_env(...))",
            )
        if parts.scheme != "sftp" or not parts.hostname or not parts.path.strip("/"):
            raise RecipeError(
                f"{self.source.url!r} names no folder or file on an sftp server",
                hint="write sftp://host[:port]/path",
            )
        try:
            _ = parts.port
        except ValueError as error:
            raise RecipeError(f"the port of {self.source.url!r} is no number from 0 to 65535") from error
        if not self.source.user:
            raise RecipeError(f"the sftp server {parts.hostname} needs a user")
        if self.source.host_key is not None and not is_host_key(self.source.host_key):
            raise RecipeError(
                f"SftpImport: host_key {self.source.host_key!r} is not a public key",
                hint=f"`ssh-keyscan {parts.hostname}` prints it: ssh-ed25519 AAAA...",
            )
        require_path("SftpImport", "target", self.target)
        require_owner("SftpImport", self.owner)

    @property
    def name(self) -> str:
        parts = urlsplit(self.source.url)
        return f"sftp import {parts.netloc}:{parts.path} -> {self.target}"

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        return Requirements(
            fetches=(Fetch(kind="sftp", url=self.source.url, side="host"),),
            secrets=tuple(secret for secret in (self.source.password, self.source.private_key) if secret is not None),
        )

    def apply(self, remote: Remote) -> None:
        files = remote.import_tree(self.source, self.target, owner=self.owner)
        if not files:
            raise StepError(
                f"{self.source.url} holds no file",
                hint="is it the right folder? one that shall be empty in the image is made by Shell or DiskMount",
            )
        total = sum(file.size for file in files)
        remote.record(self.name, f"{len(files)} files, {total} bytes, sha256 of the sums {digest_of_sums(files)}")
        remote.say(f"{len(files)} files, {total} bytes in {self.target}, each verified")


def digest_of_sums(files: Iterable[TransferredFile]) -> str:
    """SHA-256 (hex) over the listing that `sha256sum` prints for these files, sorted by path.

    So that anyone can compare: `find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum`.
    """
    listing = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda file: file.path.encode()))
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
