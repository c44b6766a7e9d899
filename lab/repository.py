"""Makes the notebook repository: a bare git repository with one commit of given files, and the tag `v1`.

Author, dates and modes are fixed, so that the same files make the same commit on every host, and a recipe can
name the commit by its hash.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.names import REPOSITORY

TAG = "v1"

_IDENTITY = {"NAME": "Image Baker", "EMAIL": "image-baker@example.org", "DATE": "2026-01-01T00:00:00Z"}


def make_repository(folder: Path, files: Path) -> None:
    """Make `folder`/github.com/<REPOSITORY>.git from the folder `files`. CalledProcessError when git refuses."""
    print("repository: one commit of recipes/notebooks", flush=True)
    bare = folder / "github.com" / f"{REPOSITORY}.git"
    with tempfile.TemporaryDirectory(prefix="lab-repository-") as name:
        work = Path(name) / "work"
        shutil.copytree(files, work, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
        for path in work.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        _git(work, "init", "--quiet", "--initial-branch=main")
        _git(work, "add", "--all")
        _git(work, "commit", "--quiet", "--message", "Ocean notebooks")
        _git(work, "tag", "--annotate", TAG, "--message", "First release")
        _git(work, "clone", "--quiet", "--bare", "--no-hardlinks", str(work), str(bare))
    _git(bare, "remote", "remove", "origin")
    _git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")  # as GitHub: a commit can be fetched by its hash


def commit_of(folder: Path) -> str:
    """The hash of the commit that `make_repository` made in `folder`."""
    return _git(folder / "github.com" / f"{REPOSITORY}.git", "rev-parse", f"{TAG}^{{commit}}").strip()


def _git(folder: Path, *arguments: str) -> str:
    """Run git untouched by the configuration of the host and its user."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_{key}": value for key, value in _IDENTITY.items()}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout
