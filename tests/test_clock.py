"""The clock counts exactly what it should, against the system's own clocks."""

from __future__ import annotations

import time

import pytest

from bytelap import Budget, Clock
from bytelap.clock import PHASES, Ledger


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_pauses_are_not_charged() -> None:
    clock = Clock(Budget(seconds=10.0))
    with clock.running():
        time.sleep(0.05)
        with clock.paused():
            time.sleep(0.3)
        time.sleep(0.05)
    assert 0.1 <= clock.elapsed < 0.3
    before = clock.elapsed
    time.sleep(0.02)
    assert clock.elapsed == before


def test_cpu_clock_does_not_count_waiting() -> None:
    clock = Clock(Budget(seconds=10.0, clock="cpu"))
    with clock.running():
        time.sleep(0.2)
        spin(0.05)
    assert 0.05 <= clock.elapsed < 0.15
    assert clock.seconds("wall") >= 0.25


def test_device_work_is_waited_for_before_every_reading_that_matters() -> None:
    queued: list[float] = []

    def synchronise() -> None:
        if queued:
            time.sleep(queued.pop())

    clock = Clock(Budget(seconds=10.0), synchronise=synchronise)
    queued.append(0.2)  # somebody else's work, queued before the clock starts
    with clock.running():
        queued.append(0.1)  # the entrant's own, still queued when the clock is paused
    assert 0.1 <= clock.elapsed < 0.18


def test_progress_and_remaining_of_each_kind_of_budget() -> None:
    clock = Clock(Budget(steps=4))
    assert clock.remaining == float("inf")
    with clock.running():
        spin(0.02)
        clock.count(10)
    assert clock.progress == 0.25
    assert clock.remaining == pytest.approx(3 * clock.elapsed)
    for _ in range(3):
        clock.count(10)
    assert clock.expired
    tokens = Clock(Budget(tokens=25))
    tokens.count(20)
    assert not tokens.expired
    tokens.count(20)
    assert tokens.expired
    assert tokens.progress == 1.0
    assert tokens.overshoot == 0.0
    seconds = Clock(Budget(seconds=2.0), spent=(1.5, 0.1))
    assert seconds.progress == 0.75
    assert seconds.remaining == 0.5
    assert Clock(Budget(seconds=2.0), spent=(2.4, 0.1)).overshoot == pytest.approx(0.4)


@pytest.mark.parametrize(
    "wrong", [{}, {"seconds": 1.0, "steps": 5}, {"seconds": 0.0}, {"steps": -1}, {"tokens": 0}], ids=str
)
def test_budget_is_exactly_one_positive_thing(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Budget(**wrong)


@pytest.mark.parametrize(("seconds", "tolerance"), [(3.0, 0.25), (60.0, 0.6), (600.0, 6.0)])
def test_tolerance_is_one_per_cent_or_a_quarter_second(seconds: float, tolerance: float) -> None:
    assert Budget(seconds=seconds).tolerance == pytest.approx(tolerance)


def test_ledger_books_every_second_once() -> None:
    ledger = Ledger()
    begun = time.perf_counter()
    with ledger.phase("train"):
        time.sleep(0.05)
        with ledger.phase("evaluate"):
            time.sleep(0.1)
        time.sleep(0.05)
    with ledger.phase("audit"):
        pass
    total = time.perf_counter() - begun
    assert ledger.wall["evaluate"] == pytest.approx(0.1, abs=0.05)
    assert ledger.wall["train"] == pytest.approx(0.1, abs=0.05)
    assert sum(ledger.wall.values()) == pytest.approx(total, abs=0.01)
    assert set(ledger.wall) == set(PHASES)
