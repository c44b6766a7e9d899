"""`jupyter_runs`: JupyterLab, as a user of the machine will start it."""

from dataclasses import dataclass

from baker.checks.account import Host, run_probe
from baker.errors import RecipeError
from baker.fields import require_path, require_types


@dataclass(frozen=True, slots=True, kw_only=True)
class JupyterRuns:
    """`jupyter lab` of `prefix` lets in who has the token, nobody else, and its kernel computes.

    `port` on 127.0.0.1 must be free; 0 takes any that is.
    """

    prefix: str
    port: int = 0

    def __post_init__(self) -> None:
        require_types(self, called="jupyter_runs")
        require_path("jupyter_runs", "prefix", self.prefix)
        if not 0 <= self.port < 1 << 16:
            raise RecipeError(f"jupyter_runs: port {self.port} is no number from 0 to 65535")

    @property
    def name(self) -> str:
        return f"jupyter runs from {self.prefix}"

    def __call__(self, host: Host) -> None:
        run_probe(host, "jupyter_lab", self.prefix, str(self.port), prefix=self.prefix, timeout=900)


def jupyter_runs(prefix: str, *, port: int = 0) -> JupyterRuns:
    """JupyterLab starts as a new user: 403 without its token, 200 with it, and a kernel computes 1+1.

    `prefix` is the environment that holds `bin/jupyter`: a conda environment or a venv.
    """
    return JupyterRuns(prefix=prefix, port=port)
