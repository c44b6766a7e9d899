"""The git commands that a pinned clone is made of. All run as root, without prompts, without the user's helpers."""

import re
import shlex
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from baker.errors import StepError
from baker.provisioner import CommandFailedError, CommandResult, Fetch, Remote

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,63}")
_BRANCHES_IN_A_HINT = 8
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")

_LOOK = """
command -v git >/dev/null || exit 127
if ! test -e "$1"; then echo nothing; exit 0; fi
cd -- "$1" 2>/dev/null || { echo other; echo "(a file)"; exit 0; }
if ! test -e .git; then
    content=$(ls -A | head -n 5)
    if mountpoint --quiet .; then echo other; echo "(a mounted disk)"; echo "$content"
    elif test -z "$content"; then echo nothing
    else echo other; echo "$content"; fi
    exit 0
fi
git() { command git --no-optional-locks -c safe.directory='*' "$@"; }
echo clone
git rev-parse --verify --quiet HEAD || echo unborn
git config --local --get remote.origin.url || echo
if git submodule status --recursive 2>/dev/null | grep -q '^[-+U]'; then echo lacking; else echo complete; fi
git status --porcelain --untracked-files=no --ignore-submodules=untracked
exit 0
"""
"""What is at "$1": nothing (or an empty folder), other things, or a clone: commit, url, submodules, changed files."""

_FAILURES = (
    ("Authentication failed", "the server refuses this credential, or its username="),
    ("could not read Username", "the server wants a credential: credential=Secret.from_env(...)"),
    ("could not read Password", "the server wants a credential: credential=Secret.from_env(...)"),
    ("Could not resolve host", "the machine cannot find this server; `--mirrors` can name another for a bake"),
    ("certificate", 'is ca-certificates on the machine? SystemPackages(packages=("ca-certificates",))'),
    ("not found", "is the url right? some servers say this too when a credential is wanted"),
    ("transport 'file' not allowed", "git takes submodules over https or http alone"),
)


def goes_in_clear(url: str) -> bool:
    """Whether others could read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme != "https" and parts.hostname not in _LOOPBACK_HOSTS


def is_commit(ref: str) -> bool:
    """Whether `ref` is a commit in full."""
    return _COMMIT.fullmatch(ref) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """What a ref of the recipe stands for now. `full_name` is that of the server, such as refs/heads/main."""

    kind: Literal["branch", "tag", "commit"]
    full_name: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What lies at the place of a clone. `changes` are those of `git status`; `content` is a sample of other things."""

    kind: Literal["nothing", "other", "clone"]
    commit: str = ""
    url: str = ""
    lacks_submodules: bool = False
    changes: str = ""
    content: str = ""

    @classmethod
    def of(cls, remote: Remote, folder: str) -> "Tree":
        """Look. StepError when git is missing."""
        result = remote.run(["sh", "-c", _LOOK, "look", folder], sudo=True, check=False, quiet=True)
        if result.exit_code == 127:
            raise StepError("git is not installed", hint='add SystemPackages(packages=("git",)) before this step')
        if result.exit_code:
            raise CommandFailedError(result)
        match result.stdout.splitlines():
            case ["nothing"]:
                return cls(kind="nothing")
            case ["clone", commit, url, submodules, *changes]:
                lacking = submodules == "lacking"
                return cls(kind="clone", commit=commit, url=url, lacks_submodules=lacking, changes="\n".join(changes))
            case [_, *content]:
                return cls(kind="other", content="\n".join(content))
        raise CommandFailedError(result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """git on the machine, asking one server. `options` come before every command."""

    remote: Remote
    url: str
    options: tuple[str, ...]

    @classmethod
    def of(cls, remote: Remote, *, url: str, username: str, secret_path: str | None) -> "Git":
        """The secret in `secret_path` is told to the server of `url` (or its mirror), and to no other.

        To a mirror never in clear: the recipe asked for https, and whoever wrote the mirrors did not write the recipe.
        """
        settings = ["advice.detachedHead=false", "init.defaultBranch=main", "safe.directory=*", "credential.helper="]
        server = urlsplit(remote.mirrored(Fetch(kind="git", url=url)).url)
        if secret_path is not None and goes_in_clear(server.geturl()):
            remote.say(f"the credential is not sent to the mirror {server.scheme}://{server.hostname}: not by https")
        elif secret_path is not None:
            host = server.netloc.rpartition("@")[2]
            answer = f"printf 'username=%s\\npassword=%s\\n' {shlex.quote(server.username or username)}"
            helper = f'!f() {{ test "$1" = get && {answer} "$(cat {shlex.quote(secret_path)})"; }}; f'
            settings.append(f"credential.{server.scheme}://{host}.helper={helper}")
        return cls(remote=remote, url=url, options=tuple(part for it in settings for part in ("-c", it)))

    def resolve(self, ref: str) -> Ref:
        """Ask the server what `ref` is. StepError when it has no such thing, or two."""
        if is_commit(ref):
            return Ref(kind="commit", full_name=ref, commit=ref)
        wanted = [ref, f"{ref}^{{}}"] if ref.startswith("refs/") else []
        wanted = wanted or [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"]
        listing = self._network("ls-remote", "--", self.url, *wanted).stdout
        return pick_ref(ref, listing) or self._refuse_unknown(ref)

    def start(self, folder: str) -> None:
        """An empty repository in a new `folder`, with `url` as its origin; whatever was there before is removed."""
        self.remote.run(["rm", "-rf", "--", folder], sudo=True)
        self._local(None, "init", "--quiet", "--template=", "--", folder)
        self._local(folder, "remote", "add", "origin", self.url)

    def fetch(self, folder: str, ref: Ref, *, depth: int | None) -> None:
        """Bring `ref` into the repository; the whole history with all branches and tags, unless `depth` limits it."""
        everything = ("fetch", "--tags", "--force", "origin", "+refs/heads/*:refs/remotes/origin/*")
        if depth is None:
            self._network(*everything, folder=folder)
            if ref.kind == "commit" and not self._has(folder, ref.commit):
                self._network("fetch", "origin", ref.commit, folder=folder)
            return
        self._network("fetch", f"--depth={depth}", "--no-tags", "--force", "origin", _shallow(ref), folder=folder)

    def check_out(self, folder: str, ref: Ref) -> None:
        """The files of `ref`; a branch as a branch that follows its origin, anything else detached."""
        if ref.kind == "branch":
            branch = ref.full_name.removeprefix("refs/heads/")
            self._local(folder, "checkout", "--quiet", "-B", branch, "--track", f"origin/{branch}")
        else:
            self._local(folder, "checkout", "--quiet", "--detach", ref.full_name)

    def update_submodules(self, folder: str, *, depth: int | None) -> None:
        """Clone the submodules at the commits that are checked out, theirs too."""
        limit = () if depth is None else (f"--depth={depth}",)
        self._network("submodule", "update", "--init", "--recursive", "--force", *limit, folder=folder)

    def give_to(self, folder: str, owner: str) -> None:
        """All of it to `owner`; that everybody may read it is the umask's doing.

        git notes where it fetched from, which is the mirror's address in a bake with mirrors: that is removed.
        """
        script = 'find "$1" -name FETCH_HEAD -path "*/.git/*" -type f -delete && chown -hR -- "$2" "$1"'
        self.remote.run(["sh", "-c", script, "give", folder, owner], sudo=True, quiet=True)

    def commit_of(self, folder: str) -> str:
        """The commit that is checked out."""
        return self._local(folder, "rev-parse", "HEAD").stdout.strip()

    def trust(self, folder: str) -> None:
        """Let every user of the machine run git in `folder` and its submodules."""
        listing = 'pwd -P && git -c safe.directory="*" submodule --quiet foreach --recursive "pwd -P"'
        adding = """while read -r folder; do
            git config --system --get-all safe.directory | grep -qxF -- "$folder" ||
            git config --system --add safe.directory "$folder"
        done"""
        script = f'umask 022; cd -- "$1" && {{ {listing}; }} | {adding}'
        self.remote.run(["sh", "-c", script, "trust", folder], sudo=True, quiet=True)

    def _has(self, folder: str, commit: str) -> bool:
        return self._run(folder, "cat-file", "-e", f"{commit}^{{commit}}", quiet=True).exit_code == 0

    def _local(self, folder: str | None, *arguments: str) -> CommandResult:
        result = self._run(folder, *arguments, quiet=True)
        if result.exit_code:
            raise CommandFailedError(_without_options(result, arguments))
        return result

    def _network(self, *arguments: str, folder: str | None = None) -> CommandResult:
        result = self._run(folder, *arguments, quiet=arguments[0] == "ls-remote")
        if result.exit_code:
            raise _explained(self.url, _without_options(result, arguments))
        return result

    def _run(self, folder: str | None, *arguments: str, quiet: bool) -> CommandResult:
        where = () if folder is None else ("-C", folder)
        command = shlex.join(["git", *self.options, *where, *arguments])
        return self.remote.run(
            f"umask 022; exec {command}",
            sudo=True,
            env={"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "LC_ALL": "C.UTF-8"},
            check=False,
            quiet=quiet,
        )

    def _refuse_unknown(self, ref: str) -> Ref:
        if _SHORT_COMMIT.fullmatch(ref):
            raise StepError(
                f"{self.url} has no branch or tag {ref}",
                hint="a commit must be written with all its 40 digits: `git rev-parse` prints them",
            )
        listing = self._network("ls-remote", "--heads", "--tags", "--refs", "--", self.url).stdout
        names = [line.split("\t")[1].split("/", 2)[2] for line in listing.splitlines()]
        more = ", ..." if len(names) > _BRANCHES_IN_A_HINT else ""
        known = ", ".join(names[:_BRANCHES_IN_A_HINT]) + more
        raise StepError(f"{self.url} has no branch or tag {ref!r}", hint=f"it has {known}" if known else "it is empty")


def pick_ref(ref: str, listing: str) -> Ref | None:
    """What `ref` is according to `git ls-remote`. StepError when it is both a branch and a tag."""
    found = {name: commit for commit, _, name in (line.partition("\t") for line in listing.splitlines())}
    names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
    there = [name for name in names if name in found]
    if len(there) > 1:
        raise StepError(f"{ref!r} is both a branch and a tag", hint=f"write ref={' or ref='.join(map(repr, there))}")
    if not there:
        return None
    name = there[0]
    kind: Literal["branch", "tag"] = "branch" if name.startswith("refs/heads/") else "tag"
    return Ref(kind=kind, full_name=name, commit=found.get(f"{name}^{{}}", found[name]))  # ^{}: what the tag tags


def _shallow(ref: Ref) -> str:
    if ref.kind == "branch":
        return f"+{ref.full_name}:refs/remotes/origin/{ref.full_name.removeprefix('refs/heads/')}"
    return ref.full_name if ref.kind == "commit" else f"+{ref.full_name}:{ref.full_name}"


def _without_options(result: CommandResult, arguments: tuple[str, ...]) -> CommandResult:
    """As a person would type it, without our settings."""
    return CommandResult(
        command=shlex.join(["git", *arguments]),
        exit_code=result.exit_code,
        stdout=result.stdout,
        stderr=result.stderr,
        seconds=result.seconds,
    )


def _explained(url: str, result: CommandResult) -> StepError:
    hint = next((hint for text, hint in _FAILURES if text in result.stderr), None)
    return StepError(f"git cannot fetch {url}", details=CommandFailedError(result).details, hint=hint)
