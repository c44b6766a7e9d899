"""A builder whose machines are sandboxes, and which fails where a test wants it to.

The engine, the connection, the remote, the checks and the clean-up around it are the real ones.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from baker.artifact import Artifact
from baker.cleanup import CleanupStack
from baker.clock import SystemClock
from baker.events import Emit
from baker.plan import Plan
from baker.ports import Address, Problem, RunInfo
from baker.provisioner import Remote
from baker.recipe import Disk
from baker.testing.sandbox import Sandbox

Fault = Callable[[], None]


def nothing() -> None:
    """No fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    kind: str = "sandbox"
    name: str = "sandbox"
    boot_timeout_seconds: float = 60


@dataclass(kw_only=True)
class SandboxMachine:
    """A sandbox that can be captured, into nothing but a record that it was."""

    sandbox: Sandbox
    faults: Mapping[str, Fault]
    disks: Mapping[str, str] = field(default_factory=dict)
    killed: bool = False

    @property
    def id(self) -> str:
        return self.sandbox.id

    @property
    def address(self) -> Address:
        self.faults.get("connect", nothing)()
        return self.sandbox.address

    def check_alive(self) -> None:
        self.sandbox.check_alive()

    def diagnose(self) -> str:
        return self.sandbox.diagnose()

    def finalize(self, remote: Remote) -> None:
        self.faults.get("finalize", nothing)()
        remote.run("true", sudo=True)

    def capture(self, name: str, labels: Mapping[str, str]) -> Artifact:
        self.faults.get("capture", nothing)()
        return Artifact(
            builder="sandbox", id=f"image:{name}", location="memory", name=name, fingerprint="f", created="2026-01-01",
            labels=labels,
        )  # fmt: skip

    def kill(self) -> None:
        self.killed = True
        self.sandbox.kill()


@dataclass(kw_only=True)
class SandboxBuilder:
    """`faults` maps a stage to what happens when the builder gets there; `machines` are all that it ever made."""

    tree: Path
    faults: dict[str, Fault] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    machines: list[SandboxMachine] = field(default_factory=list)
    kind: str = "sandbox"
    baking_host: str | None = "127.0.0.1"

    def check(self, spec: SandboxSpec) -> tuple[Problem, ...]:
        return ()

    def preflight(self, plan: Plan) -> tuple[Problem, ...]:
        self.faults.get("preflight", nothing)()
        return self.problems

    @contextmanager
    def machine(self, spec: SandboxSpec, disks: tuple[Disk, ...], run: RunInfo, emit: Emit) -> Iterator[SandboxMachine]:
        with CleanupStack(emit, SystemClock()) as cleanup:
            started: list[Sandbox] = []

            def end() -> None:
                for sandbox in started:
                    sandbox.kill()
                self.faults.get("terminate", nothing)()

            cleanup.acquire("sandbox", run.run_id, "here", undo=end, remove_hint="kill the sandbox")
            self.faults.get("launch", nothing)()
            started.append(Sandbox.start(self.tree))
            machine = SandboxMachine(sandbox=started[0], faults=self.faults)
            self.machines.append(machine)
            self.faults.get("launched", nothing)()
            yield machine
