"""Asking several regions: one that refuses keeps no other from answering.

An organisation may deny some regions to an account that has them enabled, and then each call there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from baker.builders.aws.calls import Cloud
from baker.builders.aws.errors import explaining
from baker.errors import BakeError, BuilderError

AT_ONCE = 8
"""Of those that are asked side by side."""

T = TypeVar("T")


def all_regions(cloud: Cloud) -> tuple[str, ...]:
    """All regions that the account has enabled."""
    with explaining("listing regions"):
        return tuple(sorted(region["RegionName"] for region in cloud.ask("describe_regions")["Regions"]))


def in_each(clouds: Sequence[Cloud], ask: Callable[[Cloud], Iterable[T]]) -> Iterator[T]:
    """What `ask` finds in each region. When that is over BuilderError, which names the regions that did not answer."""
    refused: list[tuple[Cloud, BakeError]] = []
    with ThreadPoolExecutor(max_workers=AT_ONCE) as side_by_side:
        for cloud, (found, error) in zip(clouds, side_by_side.map(partial(_asked, ask), clouds), strict=True):
            yield from found
            if error is not None:
                refused.append((cloud, error))
    if refused:
        raise _not_asked(refused, among=len(clouds))


def _asked(ask: Callable[[Cloud], Iterable[T]], cloud: Cloud) -> tuple[list[T], BakeError | None]:
    found: list[T] = []
    try:
        for thing in ask(cloud):
            found.append(thing)  # what came before a refusal counts
    except BakeError as error:
        return found, error
    return found, None


def _not_asked(refused: list[tuple[Cloud, BakeError]], *, among: int) -> BakeError:
    (_, first), *_ = refused
    if among == 1:
        return first
    return BuilderError(
        f"{len(refused)} of {among} regions could not be asked",
        details=[*((cloud.region, error.summary) for cloud, error in refused), *first.details],
        hint=first.hint,
    )
