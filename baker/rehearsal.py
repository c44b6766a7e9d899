"""What would keep a plan from being baked now: all of it, where a bake ends at the first. Asks, and creates nothing."""

from collections.abc import Callable, Iterator
from typing import Any

from baker.errors import BakeError
from baker.plan import Plan
from baker.ports import Builder
from baker.refusal import error_of
from baker.vault import Vault


def rehearse(
    plan: Plan, builder: Builder[Any], *, vault: Vault, reach: Callable[[Plan], None], until: float
) -> Iterator[BakeError]:
    """The errors, in the order in which a bake would meet them. `until` is when it would end at the latest.

    `reach` probes what the plan fetches and raises FetchError for what is out of reach. Secrets are resolved, as for a
    bake: a command that prints one is run.
    """
    for secret in plan.secrets:
        try:
            vault.resolve((secret,))
        except BakeError as error:
            yield error
    try:
        yield from (error_of(problem) for problem in builder.preflight(plan, until=until))
    except BakeError as error:
        yield error
    try:
        reach(plan)
    except BakeError as error:
        yield error
