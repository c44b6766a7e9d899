"""`kernel_starts`: one Jupyter kernel, without a server."""

from dataclasses import dataclass

from baker.checks.account import Host, run_probe
from baker.errors import RecipeError
from baker.fields import require_path, require_types


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelStarts:
    """The kernel `kernel`, as the Jupyter of `prefix` finds it, computes 1+1."""

    kernel: str
    prefix: str

    def __post_init__(self) -> None:
        require_types(self, called="kernel_starts")
        require_path("kernel_starts", "prefix", self.prefix)
        if not self.kernel.strip():
            raise RecipeError("kernel_starts: no kernel is named")

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
