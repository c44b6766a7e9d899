"""Checks of the ocean machine that no other machine has. Each takes `host`, as testinfra has it, and asserts."""

from typing import Any

DATA = "/data/ocean"
ENVIRONMENT = "/opt/conda/envs/ocean"


def check_the_data_are_what_was_published(host: Any) -> None:
    """By the sums that came with them; data that came without any must at least be there."""
    assert host.run(f"find {DATA} -type f -size +0 | grep -q .").rc == 0, f"expected data in {DATA}, seen none"
    if host.file(f"{DATA}/SHA256SUMS").exists:
        sums = host.run(f"cd {DATA} && sha256sum --check --quiet SHA256SUMS")
        assert sums.rc == 0, f"expected the sums of {DATA}/SHA256SUMS, seen: {sums.stdout}{sums.stderr}"


def check_everyone_can_read_the_data(host: Any) -> None:
    closed = host.run(f"find {DATA} -type f ! -perm -o=r -o -type d ! -perm -o=rx")
    assert closed.rc == 0, f"expected a folder {DATA}, seen: {closed.stderr}"
    assert closed.stdout == "", f"expected files that everyone can read, seen others: {closed.stdout}"


def check_films_can_be_written(host: Any) -> None:
    encoders = host.run(f"{ENVIRONMENT}/bin/ffmpeg -hide_banner -encoders").stdout
    assert "libx264" in encoders, "expected ffmpeg with the encoder libx264"
