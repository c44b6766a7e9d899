"""imports.py MODULE...: import each, name those that fail. Needs the standard library."""

from __future__ import annotations

import importlib
import sys


def main(names: list[str]) -> None:
    failures = []
    for name in names:
        print(f"importing {name}", flush=True)  # noqa: T201  (the last word, if the import ends the process)
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001  (SystemExit in a module is a failed import too)
            failures.append(f"cannot import {name}: {type(error).__name__}: {error}")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main(sys.argv[1:])
