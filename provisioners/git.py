"""Git repositories on the machine, at a pinned place in their history.

What git is asked to do is in `provisioners.git_commands`; this module decides when, and what is refused.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from baker.errors import BakeError, RecipeError, StepError
from baker.fields import require_path, require_types
from baker.provisioner import Fetch, Remote, Requirements
from baker.secret import Secret
from provisioners.fields import require_at_least, require_owner
from provisioners.git_commands import Git, Ref, Tree, goes_in_clear, is_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class GitClone:
    """Clone a repository to `target`, at `ref`: a branch, a tag, or a commit (all its 40 digits).

    `url` is https, http, git, file, or an absolute path on the machine. A clone appears whole or not at all: it is made
    beside `target` and renamed. When `target` is a clone of the same `url` already, it is brought to `ref`, and nothing
    changes when it is there; a clone of something else, changed files, and a folder with other content are refused. The
    commit that `ref` stood for goes into the log and the manifest. A branch is checked out as a branch, with its
    upstream; `depth` limits the history; `submodules` are cloned with their own submodules.

    `credential` is a token or password, sent under `username` (GitHub takes any, GitLab wants `oauth2` for tokens) to
    the server of `url` alone, or to the mirror that stands in for it, when that is asked by https. git asks for it
    through a file in tmpfs that is there only meanwhile; it is in no argument, no configuration and not in the image.

    Everything belongs to `owner` and is readable by all. git refuses to work in another user's clone, so one that
    belongs to root is named in /etc/gitconfig (`safe.directory`), for whoever will log in to the image; that gives
    nobody any power, since only root can put a hook there. A clone of another owner is not named there.
    """

    url: str
    target: str
    ref: str
    submodules: bool = False
    depth: int | None = None
    credential: Secret | None = None
    username: str = "git"
    owner: str = "root:root"

    revision: ClassVar[int] = 1
    not_fingerprinted: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        require_types(self)
        _check_url(self.url, has_credential=self.credential is not None)
        require_path("GitClone", "target", self.target)
        require_owner("GitClone", self.owner)
        require_at_least("GitClone", "depth", self.depth, 1)
        if not self.ref or self.ref.startswith("-") or any(character in self.ref for character in " ~^:?*[\\\n"):
            raise RecipeError(f"GitClone: ref {self.ref!r} is no branch, tag or commit")
        if self.ref.startswith("refs/") and not self.ref.startswith(("refs/heads/", "refs/tags/")):
            raise RecipeError(f"GitClone: ref {self.ref!r} is neither a branch nor a tag")
        if not self.username or any(character in self.username for character in "\n'\""):
            raise RecipeError(f"GitClone: username {self.username!r} is none")

    @property
    def name(self) -> str:
        shown = self.ref[:12] if is_commit(self.ref) else self.ref
        return f"git clone {self.url.rstrip('/').rpartition('/')[2].removesuffix('.git')} at {shown}"

    def inputs(self) -> tuple[Path, ...]:
        return ()

    def requires(self) -> Requirements:
        fetches = (Fetch(kind="git", url=self.url),) if urlsplit(self.url).scheme in ("https", "http") else ()
        return Requirements(fetches=fetches, secrets=(self.credential,) if self.credential else ())

    def apply(self, remote: Remote) -> None:
        tree = Tree.of(remote, self.target)
        if tree.kind == "other":
            raise StepError(
                f"{self.target} exists and is no git repository of its own",
                details=(("it holds", tree.content),),
                hint="clone into a folder that does not exist yet",
            )
        if tree.kind == "clone":
            self._refuse_another(tree)
        with remote.secret_file(self.credential) if self.credential else nullcontext() as secret_path:
            git = Git.of(remote, url=self.url, username=self.username, secret_path=secret_path)
            ref = git.resolve(self.ref)
            if tree.kind == "clone" and tree.commit == ref.commit and not (self.submodules and tree.lacks_submodules):
                remote.say(f"{self.target} is at {ref.commit} already")
            elif tree.kind == "clone":
                self._fill(git, ref, self.target)
            else:
                self._clone(remote, git, ref)
        if self.owner.partition(":")[0] in ("root", "0"):
            git.trust(self.target)
        commit = git.commit_of(self.target)
        remote.say(f"{self.url}: {ref.kind} {self.ref} is commit {commit}")
        remote.record(f"git {self.target}", f"{self.url} {self.ref} {commit}")

    def _refuse_another(self, tree: Tree) -> None:
        if tree.url != self.url:
            raise StepError(
                f"{self.target} is a clone of something else",
                details=(("it is a clone of", tree.url or "(nothing)"), ("wanted", self.url)),
                hint="name another target, or remove the folder first with Shell",
            )
        if tree.changes:
            raise StepError(
                f"{self.target} holds files that were changed since they were cloned",
                details=(("changes", tree.changes),),
                hint="put the step that changes them after the last clone, or remove the folder first with Shell",
            )

    def _clone(self, remote: Remote, git: Git, ref: Ref) -> None:
        """Beside the target, under a name of its own, so that what a dead bake left is cleared by the next one."""
        folder, _, last = self.target.rpartition("/")
        beside = f"{folder}/.{last}.being-cloned"
        try:
            git.start(beside)
            self._fill(git, ref, beside)
            remote.run(["mv", "--no-target-directory", beside, self.target], sudo=True)
        except BaseException:
            _remove(remote, beside)
            raise

    def _fill(self, git: Git, ref: Ref, folder: str) -> None:
        git.fetch(folder, ref, depth=self.depth)
        git.check_out(folder, ref)
        if self.submodules:
            git.update_submodules(folder, depth=self.depth)
        git.give_to(folder, self.owner)


def _check_url(url: str, *, has_credential: bool) -> None:
    parts = urlsplit(url)
    if parts.password is not None:
        shown = url.replace(f":{parts.password}@", ":***@")
        raise RecipeError(
            f"GitClone: there is a password in {shown}",
            hint="take it out, and give credential=Secret.from_env(...); it would stay in the image's .git/config",
        )
    if any(ord(character) <= 32 for character in url) or url.startswith("-"):
        raise RecipeError(f"GitClone: url {url!r} is none")
    if parts.scheme not in ("https", "http", "git", "file") and not url.startswith("/"):
        raise RecipeError(
            f"GitClone: {url} is not https, http, git, file or an absolute path",
            hint="over ssh a private key would have to be on the machine: write https, and credential=... if needed",
        )
    if has_credential and goes_in_clear(url):
        raise RecipeError(f"GitClone: the credential would go to {url} in clear", hint="write https")


def _remove(remote: Remote, folder: str) -> None:
    try:
        remote.run(["rm", "-rf", "--", folder], sudo=True, quiet=True)
    except BakeError as error:  # the first failure is what matters; the next clone clears it too
        remote.say(f"{folder} could not be removed: {error.summary}")
