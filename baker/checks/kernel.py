"""`kernel_starts`: one Jupyter kernel, without a server."""

from dataclasses import dataclass

from baker.checks.account import Host, run_probe


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelStarts:
    """The kernel `kernel`, as the Jupyter of `prefix` finds it, computes 1+1."""

    kernel: str
    prefix: str

    @property
    def name(self) -> str:
        return f"kernel {self.kernel} starts"

    def __call__(self, host: Host) -> None:
        run_probe(host, "kernel", self.kernel, prefix=self.prefix, timeout=600)


def kernel_starts(name: str, *, prefix: str) -> KernelStarts:
    """A new user can start the kernel `name` and compute with it.

    `prefix` is the environment with Jupyter in it; the kernel itself may live in another one.
    """
    return KernelStarts(kernel=name, prefix=prefix)
