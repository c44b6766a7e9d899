"""Reads the file that `--mirrors` or `$BAKER_MIRRORS` names."""

import tomllib
from dataclasses import replace
from pathlib import Path

from baker.errors import UsageError
from baker.mirrors import NO_MIRRORS, Mirrors, parse_mirrors


def read_mirrors(path: Path | None) -> Mirrors:
    """The mirrors in the file at `path`, none without one. UsageError or RecipeError when it cannot be used.

    A CA bundle is looked for beside the file, unless its path is absolute.
    """
    if path is None:
        return NO_MIRRORS
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"mirrors file {path} cannot be read: {reason}", hint="it is named by --mirrors or $BAKER_MIRRORS"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"mirrors file {path} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"mirrors file {path} is not TOML: {error}") from error
    mirrors = parse_mirrors(document, str(path))
    if mirrors.ca_bundle is None:
        return mirrors
    bundle = path.absolute().parent / Path(mirrors.ca_bundle).expanduser()
    if not bundle.is_file():
        raise UsageError(f"{path}: [tls] ca_bundle: no such file: {bundle}")
    return replace(mirrors, ca_bundle=str(bundle))
