"""What was asked for, and may be there though no listing shows it: EC2 shows what it made after some seconds only.

An undo that believed the first listing would call gone what had just been made, and leave it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from baker.builders.aws.errors import AwsError
from baker.builders.aws.waiting import RELEASED, poll
from baker.ports import Clock

T = TypeVar("T")

UNSEEN_SECONDS = 8.0
"""How long what was made may stay unseen. Who is told to stop has ten seconds to do so."""


class Asked:
    """One thing that is asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._may_exist = False

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around the call that makes it. Only a refusal of the first try says that nothing was made; a lost reply, a
        fault of AWS and a signal say nothing."""
        self._may_exist = True
        try:
            yield
        except AwsError as error:
            self._may_exist = error.may_be_done
            raise

    def found(self, look: Callable[[], Iterable[T]]) -> list[T]:
        """What `look` lists; where something may exist, it looks for a while until there is."""
        if not self._may_exist:
            return list(look())
        return poll(lambda: list(look()) or None, timeout=UNSEEN_SECONDS, clock=self._clock, pauses=RELEASED) or []
