"""Signals and the time limit become one exception, once."""

import signal
import time

import pytest

from baker.errors import Interrupted, TimeLimitReached
from baker.interrupts import SIGNALS, Interrupts, hold, raise_deferred, shield


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_first_signal_unwinds_with_the_shells_exit_code(signum: signal.Signals) -> None:
    with Interrupts(), pytest.raises(Interrupted) as stopped:
        signal.raise_signal(signum)
    assert stopped.value.exit_code == 128 + signum


def test_the_second_signal_hurries_and_raises_nothing() -> None:
    killed: list[str] = []
    reached_the_end_of_the_unwinding = False
    with Interrupts() as interrupts, interrupts.hurrying(lambda: killed.append("machine")):
        try:
            signal.raise_signal(signal.SIGINT)
        except Interrupted:
            assert killed == []
            signal.raise_signal(signal.SIGINT)
            reached_the_end_of_the_unwinding = True
    assert reached_the_end_of_the_unwinding
    assert killed == ["machine"]


def test_no_exception_handler_of_a_step_can_eat_an_interrupt() -> None:
    with Interrupts(), pytest.raises(Interrupted):
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception:  # noqa: BLE001
            pytest.fail("a plain `except Exception` caught it")


def test_the_time_limit_ends_a_blocking_call() -> None:
    with Interrupts(timeout=0.05, limit_text="50ms"), pytest.raises(TimeLimitReached) as limit:
        time.sleep(60)
    assert limit.value.exit_code == 11
    assert "50ms" in limit.value.error.summary


def test_what_arrives_under_a_shield_is_raised_afterwards() -> None:
    order: list[str] = []
    with Interrupts(), pytest.raises(Interrupted):
        with shield():
            signal.raise_signal(signal.SIGHUP)
            order.append("inside")
        order.append("after")
        raise_deferred()
    assert order == ["inside", "after"]


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(signum) for signum in (*SIGNALS, signal.SIGALRM)]
    with Interrupts(timeout=60):
        pass
    assert [signal.getsignal(signum) for signum in (*SIGNALS, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_nohup_stays_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_interrupts_a_shield_does_nothing() -> None:
    with shield():
        pass
    raise_deferred()


def test_what_arrives_in_a_hold_is_raised_at_its_end_and_hurries_nobody() -> None:
    order: list[str] = []
    with Interrupts() as interrupts, interrupts.hurrying(lambda: order.append("killed")), pytest.raises(Interrupted):
        with hold():
            signal.raise_signal(signal.SIGINT)
            order.append("inside")
        order.append("after")
    assert order == ["inside"]
