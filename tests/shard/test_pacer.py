"""The schedule never drifts, thins before it slips, and counts what it does."""

from hypothesis import given
from hypothesis import strategies as st

from server.pacer import PHASES, SLIP_S, Pacer


@given(st.integers(20, 90), st.lists(st.floats(0.0, 0.010), min_size=1, max_size=200))
def test_small_delays_never_move_the_schedule(tick_hz, delays):
    pacer = Pacer(tick_hz, 100.0)
    for n, delay in enumerate(delays):
        assert abs(pacer.due_s - (100.0 + n / tick_hz)) < 1e-9
        pacer.begin(pacer.due_s + delay)
    assert pacer.slips == 0


def test_a_late_tick_is_caught_up_and_every_other_one_is_thinned():
    pacer = Pacer(30, 0.0)
    now_s, thinned, ran = 0.4, 0, 0
    while pacer.due_s < now_s:
        pacer.begin(now_s)
        thinned += pacer.thin
        ran += 1
    assert ran == 12
    assert 4 <= thinned <= 6
    pacer.begin(pacer.due_s)
    assert not pacer.thin


def test_hopelessly_late_the_schedule_itself_moves_and_says_so():
    pacer = Pacer(30, 0.0)
    pacer.begin(10 * SLIP_S)
    assert pacer.slips == 1
    assert pacer.due_s == 10 * SLIP_S + 1 / 30


def test_figures_are_percentiles_of_what_ended():
    pacer = Pacer(20, 0.0)
    assert pacer.figures() == {}
    for i in range(100):
        pacer.begin(pacer.due_s)
        pacer.end((i / 1000, *[0.0] * (len(PHASES) - 1)))
    figures = pacer.figures()
    assert figures["tick_ms_p50"] == 49.5
    assert figures["phase_drain_ms_p99"] > 97
    assert figures["ticks_over_budget_total"] == 49  # 51 ms to 99 ms
