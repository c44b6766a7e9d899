"""kernel.py NAME: start the kernel, compute 1+1, stop it. Needs jupyter_client."""

from __future__ import annotations

import sys
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # type: ignore[import-not-found,unused-ignore]
from jupyter_client.manager import start_new_kernel  # type: ignore[import-not-found,unused-ignore]

START_SECONDS = 300
ANSWER_SECONDS = 120


def main(name: str) -> None:
    results: list[str] = []

    def collect(message: dict[str, Any]) -> None:
        if message["msg_type"] == "execute_result":
            results.append(message["content"]["data"]["text/plain"])

    try:
        manager, client = start_new_kernel(startup_timeout=START_SECONDS, kernel_name=name)
    except NoSuchKernel:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
        sys.exit(f"expected a kernel named {name!r}; the kernels here are: {known}")
    try:
        reply = client.execute_interactive("1+1", timeout=ANSWER_SECONDS, allow_stdin=False, output_hook=collect)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    status = reply["content"]["status"]
    if status != "ok" or [text.split()[-1:] for text in results] != [["2"]]:  # R says "[1] 2"
        sys.exit(f"expected kernel {name!r} to compute 1+1 = 2; saw status {status!r}, results {results!r}")


if __name__ == "__main__":
    main(sys.argv[1])
