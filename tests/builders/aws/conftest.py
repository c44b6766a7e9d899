"""The fake AWS: one process for each worker and kind of machines, as new for each test."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baker.ports import RunInfo
from tests.builders.aws.fake.client import FakeAws

RUN_ID = "20260102t030405-abcd"


@pytest.fixture(scope="session")
def aws_api_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAws]:
    """A fake whose instances run nothing."""
    with FakeAws.start(tmp_path_factory.mktemp("aws-api")) as fake:
        yield fake


@pytest.fixture(scope="session")
def aws_machines_process(tmp_path_factory: pytest.TempPathFactory, sandbox_root: Path) -> Iterator[FakeAws]:
    """A fake whose instances are sandbox machines; needs root."""
    with FakeAws.start(tmp_path_factory.mktemp("aws-machines"), machines="sandbox", tree=sandbox_root) as fake:
        yield fake


@pytest.fixture
def aws(aws_api_process: FakeAws) -> FakeAws:
    """A new account at a fake whose instances run nothing: for tests of the API alone."""
    aws_api_process.reset()
    return aws_api_process


@pytest.fixture
def aws_with_machines(aws_machines_process: FakeAws) -> Iterator[FakeAws]:
    """A new account at a fake whose instances are sandbox machines."""
    aws_machines_process.reset()
    yield aws_machines_process
    aws_machines_process.reset()


@pytest.fixture
def as_caller(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeAws], None]:
    """Has this process take a fake for AWS."""

    def become(fake: FakeAws) -> None:
        for name, value in fake.environment.items():
            if name.startswith("AWS_"):
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
