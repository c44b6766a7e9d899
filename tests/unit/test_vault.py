"""Secret values: where they come from, and that they go nowhere else."""

import os
import time
from pathlib import Path

import pytest

from baker.errors import SecretError
from baker.secret import Redactor, Secret
from baker.vault import Vault


def _vault(**options: float) -> tuple[Vault, Redactor]:
    redactor = Redactor()
    return Vault(redactor, **options), redactor


def test_each_origin_gives_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from a file\nof two lines\n")
    monkeypatch.setenv("TOKEN", "from the environment")
    secrets = {
        Secret.from_env("TOKEN"): "from the environment",
        Secret.from_file(str(tmp_path / "token")): "from a file\nof two lines",
        Secret.from_command("printf", "%s\\r\\n", "from a command"): "from a command",
    }
    vault, redactor = _vault()
    vault.resolve(secrets)
    assert {secret: vault.value(secret) for secret in secrets} == secrets
    assert redactor("<from a command> <of two lines>") == "<***> <***>"


def test_a_secret_is_asked_for_once(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    secret = Secret.from_command("sh", "-c", f"echo x >>{asked}; echo a-long-value")
    vault, _ = _vault()
    vault.resolve((secret, secret))
    vault.resolve((secret,))
    assert asked.read_text() == "x\n"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (Secret.from_env("BAKER_TEST_NOT_SET"), "environment variable BAKER_TEST_NOT_SET is not set"),
        (Secret.from_file("/nowhere/token"), "cannot be read: No such file or directory"),
        (Secret.from_command("baker-test-no-such-command"), "cannot be started: No such file or directory"),
        (Secret.from_command("sh", "-c", "exit 7"), "the command exited with 7"),
        (Secret.from_command("printf", "hunt2"), "is too short"),
        (Secret.from_command("true"), "is empty"),
        (Secret.from_command("printf", "\\377\\376\\375\\374\\373\\372"), "is not UTF-8 text"),
        (Secret.from_command("echo", "     \t    x"), "is too short"),
    ],
)
def test_what_cannot_be_a_secret_says_which_and_never_what(secret: Secret, said: str) -> None:
    vault, _ = _vault()
    with pytest.raises(SecretError) as caught:
        vault.resolve((secret,))
    assert caught.value.exit_code == 2
    assert said in caught.value.summary
    assert secret.name in caught.value.summary
    with pytest.raises(SecretError, match="was not declared"):
        vault.value(secret)


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sleep 1000 & echo $! >{child}; wait"
    vault, _ = _vault(command_timeout_seconds=1)
    with pytest.raises(SecretError, match="did not end within 1 s"):
        vault.resolve((Secret.from_command("sh", "-c", script),))
    number = int(child.read_text())
    for _ in range(200):
        if not _runs(number):
            return
        time.sleep(0.05)
    os.kill(number, 9)
    pytest.fail("the command's child still runs")


def _runs(number: int) -> bool:
    try:
        return f"{number} (sleep) Z" not in Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
