"""`jupyter_runs`: JupyterLab, as a user of the machine will start it."""

from dataclasses import dataclass

from baker.checks.account import Host, run_probe


@dataclass(frozen=True, slots=True, kw_only=True)
class JupyterRuns:
    """`jupyter lab` of `prefix` lets in who has the token, nobody else, and its kernel computes.

    `port` on 127.0.0.1 must be free; 0 takes any that is.
    """

    prefix: str
    port: int = 0

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
