"""The fake as a test sees it: a process, an environment for whoever shall talk to it, and its control."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TAG = "bake:run"
"""What every resource of ours carries."""

ACCESS_KEY = "AKIABAKERFAKE0000001"
SECRET_KEY = "not-a-secret-at-all-0000000000000000000"
ACCOUNT = "123456789012"
REGION = "eu-central-1"

_ROOT = Path(__file__).parents[4]


@dataclass(kw_only=True)
class FakeAws:
    """A running fake. Make one with `start`."""

    url: str
    journal_file: Path
    environment: Mapping[str, str] = field(repr=False)
    """What a process needs to take this for AWS, and nothing else of this one's environment that AWS's tools read."""

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, folder: Path, *, machines: str = "none", tree: Path | None = None, ssh_port: int = 22
    ) -> Iterator["FakeAws"]:
        """Start it with `folder` for its journal. With `machines="sandbox"` it needs root and `tree`.

        It ends with the context, and with this process, however that ends.
        """
        journal, disks = folder / "calls.jsonl", folder / "disks"
        disks.mkdir()
        command = [sys.executable, "-m", "tests.builders.aws.fake.server", "--journal", str(journal)]
        command += ["--machines", machines, "--ssh-port", str(ssh_port), "--folder", str(disks)]
        if tree is not None:
            command += ["--tree", str(tree)]
        if machines != "none":
            command = ["unshare", "--mount", "--propagation", "private", "--", *command]
        environment = _clean_environment() | {"PYTHONPATH": str(_ROOT)}
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                cwd=_ROOT,
            )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                port = process.stdout.readline().strip()
                if not port:
                    raise RuntimeError((folder / "server.log").read_text()[-4000:])
                url = f"http://127.0.0.1:{port}"
                yield cls(url=url, journal_file=journal, environment=_clean_environment() | _aws_environment(url))
            finally:
                process.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()

    @property
    def caller_address_url(self) -> str:
        """A service that says the caller's address."""
        return f"{self.url}/fake/caller-address"

    def client(self, service: str = "ec2", *, region: str = REGION, access_key: str = ACCESS_KEY) -> Any:
        """A boto3 client for it, that does not try again."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings (see `settings.Settings`); all of them as they are then."""
        self._ask("POST", "settings", changes)
        return dict(self._ask("GET", "settings"))

    def fault(self, action: str, **how: Any) -> None:
        """Spoil calls to come (see `faults.Fault`)."""
        self._ask("POST", "faults", {"action": action, **how})

    def faults(self) -> list[dict[str, Any]]:
        """What is injected, with how often each has struck."""
        return list(self._ask("GET", "faults"))

    def forget_faults(self) -> None:
        """Spoil nothing more."""
        self._ask("DELETE", "faults")

    def policy(self, document: Mapping[str, Any], *, access_key: str = "*") -> None:
        """From now on, what `access_key` (`*`: everybody) may do."""
        self._ask("POST", "policies", {"access_key": access_key, "document": document})

    def forget_policies(self) -> None:
        """Everybody may do everything."""
        self._ask("DELETE", "policies")

    def expire(self, access_key: str = ACCESS_KEY) -> None:
        """Credentials are no longer valid."""
        self._ask("POST", "expired", {"access_key": access_key})

    def renew(self) -> None:
        """All credentials are valid again."""
        self._ask("DELETE", "expired")

    def die(self, instance: str, reason: str = "Server.InternalError") -> None:
        """An instance ends, with a state reason."""
        self._ask("POST", "die", {"instance": instance, "reason": reason})

    def reset(self) -> None:
        """An account in which nothing ever happened, and an empty journal."""
        self._ask("POST", "reset")

    def remove_default_network(self, region: str = REGION) -> None:
        """As in accounts whose owners took it away."""
        self._ask("POST", "no-default-network", {"region": region})

    def look_alikes(self, region: str = REGION, **more: Any) -> None:
        """Other people's things appear, named and almost tagged as ours."""
        self._ask("POST", "look-alikes", {"region": region, **more})

    def calls(self, action: str | None = None) -> list[dict[str, Any]]:
        """The journal: all calls, or those of an action, each with its parameters and how it ended."""
        return [it for it in self._ask("GET", "journal") if action in (None, it["action"])]

    def account(self) -> list[dict[str, Any]]:
        """All resources, in all regions (see `audit.inventory`)."""
        return list(self._ask("GET", "account"))

    def ours(self) -> list[dict[str, Any]]:
        """The resources that carry our tag."""
        return [it for it in self.account() if TAG in it["tags"]]

    def assert_clean(self, before: Iterable[Mapping[str, Any]], *, kept: Iterable[str] = ()) -> None:
        """AssertionError unless all is as in `before` (an `account()`), but for our images `kept` and their snapshots.

        So nothing with our tag is left, and nothing without it came, went or changed.
        """
        kept_ids = set(kept)
        for image in self.account():
            if image["kind"] == "image" and image["id"] in kept_ids:
                client = self.client(region=image["region"])
                (described,) = client.describe_images(ImageIds=[image["id"]])["Images"]
                kept_ids |= {it["Ebs"]["SnapshotId"] for it in described["BlockDeviceMappings"]}
        now = {it["id"]: it for it in self.account() if it["id"] not in kept_ids}
        then = {it["id"]: it for it in before}
        left = [it for id, it in now.items() if id not in then]
        gone = [it for id, it in then.items() if id not in now]
        changed = [(then[id], it) for id, it in now.items() if id in then and then[id] != it]
        assert not left, f"left behind: {json.dumps(left, indent=1)}"
        assert not gone, f"other people's things are gone: {json.dumps(gone, indent=1)}"
        assert not changed, f"other people's things were changed: {json.dumps(changed, indent=1)}"

    def _ask(self, method: str, what: str, given: Any = None) -> Any:
        body = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(f"{self.url}/fake/{what}", data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from error


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BOTO_", "MOTO_"))}


def _aws_environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1,localhost",
    }
