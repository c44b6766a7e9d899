"""`imports`: Python modules that must be there and load."""

from dataclasses import dataclass

from baker.checks.account import Host, run_probe
from baker.errors import RecipeError
from baker.fields import require_path, require_types


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """All of `modules` can be imported, one after the other, in one process of the Python of `prefix`."""

    modules: tuple[str, ...]
    prefix: str

    def __post_init__(self) -> None:
        require_types(self, called="imports")
        require_path("imports", "prefix", self.prefix)
        if not self.modules:
            raise RecipeError("imports: no module is named", hint='imports("xarray", prefix="/opt/conda/envs/ocean")')
        for module in self.modules:
            if not all(part.isidentifier() for part in module.split(".")):
                raise RecipeError(f"imports: {module!r} is no name of a module", hint="one argument for each module")

    @property
    def name(self) -> str:
        return f"imports {', '.join(self.modules)}"

    def __call__(self, host: Host) -> None:
        run_probe(host, "imports", *self.modules, prefix=self.prefix, timeout=600)


def imports(*modules: str, prefix: str) -> Imports:
    """A new user can import `modules` in the environment `prefix`. Those that fail are named, all of them."""
    return Imports(modules=modules, prefix=prefix)
