"""Signals before the daemon's receiver is open."""

import gc
import signal

import pytest

from jobping.early import EarlySignals


def test_signal_ends_the_process_in_order_when_nothing_has_begun() -> None:
    with pytest.raises(SystemExit) as ended:
        EarlySignals()(signal.SIGTERM, None)
    assert ended.value.code == 0


def test_signal_is_kept_when_the_daemon_is_about_to_begin() -> None:
    early = EarlySignals()
    early.keep()
    early(signal.SIGTERM, None)
    early(signal.SIGINT, None)
    assert early.take() == (signal.SIGTERM, signal.SIGINT)
    assert early.take() == ()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signal_is_not_lost_when_its_exit_was_raised_in_a_finalizer() -> None:
    early = EarlySignals()

    class Finalized:
        def __del__(self) -> None:
            early(signal.SIGTERM, None)

    thing = Finalized()
    del thing
    gc.collect()
    early.keep()
    assert early.take() == (signal.SIGTERM,)
