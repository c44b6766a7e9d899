"""The end of an image: nothing of it stays that a sweep does not find."""

from collections.abc import Callable

import pytest

from baker.builders.aws.builder import AwsBuilder
from baker.errors import BuilderError
from baker.ports import RunInfo
from tests.builders.aws.acts import ImpatientClock, Scene, an_image
from tests.builders.aws.fake.client import FakeAws

FOR_EVER = 1 << 30


@pytest.fixture
def scene(aws: FakeAws, as_caller: Callable[[FakeAws], None], run_info: Callable[..., RunInfo]) -> Scene:
    """An account with a finished image."""
    as_caller(aws)
    run = run_info()
    builder = AwsBuilder(clock=ImpatientClock())
    scene = Scene(ec2=aws, client=aws.client(), builder=builder, run=run, folder=run.run_dir)
    an_image(scene)
    return scene


def _left(scene: Scene) -> list[str]:
    return [leftover.kind for leftover in scene.builder.leftovers(None)]


def test_snapshots_of_an_image_that_is_gone_are_found_by_a_sweep(scene: Scene) -> None:
    scene.ec2.fault("DeleteSnapshot", error="UnauthorizedOperation", times=FOR_EVER)  # as if it had been killed there
    with pytest.raises(BuilderError, match="may not do this"):
        scene.builder.delete(scene.baked)
    scene.ec2.forget_faults()
    assert not list(scene.builder.images(None))
    (snapshot,) = scene.builder.leftovers(None)
    assert snapshot.kind == "snapshot"
    assert snapshot.expires is not None
    assert snapshot.expires <= scene.builder.clock.now()
    scene.builder.destroy(snapshot)
    assert _left(scene) == []


def test_an_image_that_may_not_be_deleted_stays_whole(scene: Scene) -> None:
    scene.ec2.fault("DeregisterImage", error="UnauthorizedOperation", times=FOR_EVER)
    with pytest.raises(BuilderError, match="may not do this"):
        scene.builder.delete(scene.baked)
    assert scene.builder.digest(scene.baked) == scene.baked.verified
    assert _left(scene) == []
