"""The fake as a test sees it: a process, an environment for whoever shall talk to it, and its control."""

import contextlib
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.builders.azure.fake.certificate import make_certificate
from tests.builders.azure.fake.settings import CLIENT, LOCATION, SUBSCRIPTION, TENANT
from tests.builders.azure.fake.tokens import ASSERTION

TAG = "bake:run"
"""What every resource of ours carries."""

_ROOT = Path(__file__).parents[4]
_OTHERS = ("AZURE_", "ARM_", "MSI_", "IDENTITY_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "BAKER_A")


@dataclass(kw_only=True)
class FakeAzure:
    """A running fake. Make one with `start`."""

    url: str
    journal_file: Path
    authority: Path
    """The certificate to trust."""

    environment: Mapping[str, str] = field(repr=False)
    """What a process needs to take this for Azure, and nothing of this one's environment that Azure's tools read."""

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, folder: Path, *, machines: str = "none", tree: Path | None = None, ssh_port: int = 22
    ) -> Iterator["FakeAzure"]:
        """Start it with `folder` for what it writes. With `machines="sandbox"` it needs root and `tree`.

        It ends with the context, and with this process, however that ends. The journal is `$BAKER_ARM_JOURNAL` where
        that is set (all fakes add to it), else a file in `folder`.
        """
        journal = Path(os.environ.get("BAKER_ARM_JOURNAL") or folder / "journal.jsonl")
        disks = folder / "disks"
        disks.mkdir()
        certificate, key = make_certificate(folder)
        (folder / "assertion").write_text(ASSERTION)
        command = [sys.executable, "-m", "tests.builders.azure.fake.server", "--journal", str(journal)]
        command += ["--certificate", str(certificate), "--key", str(key)]
        command += ["--machines", machines, "--ssh-port", str(ssh_port), "--folder", str(disks)]
        if tree is not None:
            command += ["--tree", str(tree)]
        if machines != "none":
            command = ["unshare", "--mount", "--propagation", "private", "--", *command]
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_clean_environment() | {"PYTHONPATH": str(_ROOT)},
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
                url = f"https://127.0.0.1:{port}"
                environment = _clean_environment() | _azure_environment(url, certificate, folder / "assertion")
                yield cls(url=url, journal_file=journal, authority=certificate, environment=environment)
            finally:
                process.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()

    @cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.authority)))
        return urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)

    @property
    def caller_address_url(self) -> str:
        """A service that says the caller's address."""
        return f"{self.url}/fake/caller-address"

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings (see `settings.Settings`); all of them as they are then."""
        self._ask("POST", "settings", changes)
        return dict(self._ask("GET", "settings"))

    def fault(self, call: str, **how: Any) -> None:
        """Spoil calls to come (see `faults.Fault`)."""
        self._ask("POST", "faults", {"call": call, **how})

    def faults(self) -> list[dict[str, Any]]:
        """What is injected, with how often each has struck."""
        return list(self._ask("GET", "faults"))

    def forget_faults(self) -> None:
        """Spoil nothing more."""
        self._ask("DELETE", "faults")

    def permit(self, actions: Iterable[str], *, scope: str = "/", not_actions: Iterable[str] = ()) -> None:
        """From now on the caller may do this at `scope`, and nothing else anywhere; see `grants` for several."""
        self.grants([{"scope": scope, "actions": list(actions), "not_actions": list(not_actions)}])

    def grants(self, grants: Iterable[Mapping[str, Any]]) -> None:
        """From now on, what the caller may do: each with `scope`, `actions`, `not_actions`."""
        self._ask("POST", "grants", [dict(it) for it in grants])

    def expire(self) -> None:
        """Tokens are no longer valid, and no new ones are given out."""
        self._ask("POST", "expired")

    def renew(self) -> None:
        """New tokens are given out again."""
        self._ask("DELETE", "expired")

    def pass_time(self, seconds: float) -> None:
        """Azure's clock goes ahead: schedules come due."""
        self._ask("POST", "time", {"seconds": seconds})

    def finish(self) -> None:
        """Everything that is under way has come to its end."""
        self._ask("POST", "finish")

    def group(self, name: str, *, location: str = LOCATION, **tags: str) -> str:
        """A resource group of somebody's is there; its id."""
        self._ask("POST", "groups", {"name": name, "location": location, "tags": tags})
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"

    def look_alikes(self, **more: Any) -> None:
        """Other people's things appear, named and almost tagged as ours."""
        self._ask("POST", "look-alikes", more)

    def evict(self, machine: str) -> None:
        """Azure takes a Spot machine away."""
        self._ask("POST", "evict", {"machine": machine})

    def die(self, machine: str) -> None:
        """A machine ends by itself."""
        self._ask("POST", "die", {"machine": machine})

    def reset(self) -> None:
        """A subscription in which nothing ever happened, and an empty journal in memory."""
        self._ask("POST", "reset")

    def calls(self, call: str | None = None) -> list[dict[str, Any]]:
        """The journal: all calls, or those of a name (`PUT Microsoft.Compute/virtualMachines`)."""
        return [it for it in self._ask("GET", "journal") if call in (None, it["call"])]

    def account(self) -> list[dict[str, Any]]:
        """All groups and resources (see `audit.inventory`)."""
        return list(self._ask("GET", "account"))

    def ours(self) -> list[dict[str, Any]]:
        """The groups and resources that carry our tag."""
        return [it for it in self.account() if TAG in it["tags"]]

    def not_deprovisioned(self) -> list[dict[str, Any]]:
        """The images of machines on which `waagent -deprovision+user` did not run; each says what is left in it."""
        return [it for it in self.account() if it["facts"].get("not_deprovisioned")]

    def assert_clean(self, before: Iterable[Mapping[str, Any]], *, kept: Iterable[str] = ()) -> None:
        """AssertionError unless all is as in `before` (an `account()`), but for our images `kept` (ids).

        So nothing with our tag is left, and nothing without it came, went or changed. A gallery's definition that is
        there for a version that is kept may stay.
        """
        ids = [it.lower() for it in kept]
        wanted = {*ids, *(it.rpartition("/versions/")[0] for it in ids)}
        now = {it["id"].lower(): it for it in self.account() if it["id"].lower() not in wanted}
        then = {it["id"].lower(): it for it in before if it["id"].lower() not in wanted}
        left = [it for id, it in now.items() if id not in then]
        gone = [it for id, it in then.items() if id not in now]
        changed = [(then[id], it) for id, it in now.items() if id in then and then[id] != it]
        assert not left, f"left behind: {json.dumps(left, indent=1)}"
        assert not gone, f"other people's things are gone: {json.dumps(gone, indent=1)}"
        assert not changed, f"other people's things were changed: {json.dumps(changed, indent=1)}"

    def _ask(self, method: str, what: str, given: Any = None) -> Any:
        body = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(f"{self.url}/fake/{what}", data=body, method=method)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from error


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}


def _azure_environment(url: str, authority: Path, assertion: Path) -> dict[str, str]:
    return {
        "AZURE_AUTHORITY_HOST": url,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_FEDERATED_TOKEN_FILE": str(assertion),
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "BAKER_AZURE_CLOUD": url,
        "REQUESTS_CA_BUNDLE": str(authority),
        "SSL_CERT_FILE": str(authority),
        "NO_PROXY": "127.0.0.1,localhost",
    }
