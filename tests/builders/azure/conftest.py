"""The fake Azure: one process for each worker and kind of machines, as new for each test."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baker.ports import RunInfo
from tests.builders.azure.fake.client import FakeAzure

RUN_ID = "20260102t030405-abcd"


@pytest.fixture(scope="session")
def azure_api_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAzure]:
    """A fake whose virtual machines run nothing."""
    with FakeAzure.start(tmp_path_factory.mktemp("azure-api")) as fake:
        yield fake


@pytest.fixture(scope="session")
def azure_machines_process(tmp_path_factory: pytest.TempPathFactory, sandbox_root: Path) -> Iterator[FakeAzure]:
    """A fake whose virtual machines are sandbox machines; needs root."""
    with FakeAzure.start(tmp_path_factory.mktemp("azure-machines"), machines="sandbox", tree=sandbox_root) as fake:
        yield fake


@pytest.fixture
def azure(azure_api_process: FakeAzure) -> FakeAzure:
    """A new subscription at a fake whose machines run nothing: for tests of the API alone."""
    azure_api_process.reset()
    return azure_api_process


@pytest.fixture
def azure_with_machines(azure_machines_process: FakeAzure) -> Iterator[FakeAzure]:
    """A new subscription at a fake whose machines are sandbox machines."""
    azure_machines_process.reset()
    yield azure_machines_process
    azure_machines_process.reset()


@pytest.fixture
def as_caller(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeAzure], None]:
    """Has this process take a fake for Azure."""

    def become(fake: FakeAzure) -> None:
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "BAKER_AZURE_CLOUD", "NO_PROXY"):
            monkeypatch.setenv(name, fake.environment[name])
        for name, value in fake.environment.items():
            if name.startswith("AZURE_"):
                monkeypatch.setenv(name, value)

    return become


@pytest.fixture
def run_info(tmp_path: Path) -> Callable[..., RunInfo]:
    def make(**changes: object) -> RunInfo:
        now = time.time()
        values: dict[str, object] = {
            "run_id": RUN_ID,
            "recipe": "reef",
            "fingerprint": "f" * 64,
            "image_name": "reef-20260102t030405-ffffffff",
            "owner": "ada",
            "started": now,
            "expires": now + 3600,
            "run_dir": tmp_path,
        }
        return RunInfo(**(values | changes))  # type: ignore[arg-type]

    return make
