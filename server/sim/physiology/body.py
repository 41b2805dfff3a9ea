"""The one kernel that advances blocks of lanes: fast, sample, reflex and slow steps in their order.

Owns the schedule. Time is counted in samples of 8 ms: each sample has `substeps` fast steps (4 are 2 ms), one step of
breathing and beats; each fifth one of reflex and gas; each 125th one of drugs and fluids. Sample count, not a clock,
says what is due, so that stopping and going on anywhere changes nothing.
"""

import numpy as np
from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.baroreflex import delay_step, effector_step, firing_step
from server.sim.physiology.breathing import airway_step, mechanics_step
from server.sim.physiology.circulation import beat_step, circulation_step
from server.sim.physiology.drugs import drugs_step
from server.sim.physiology.fluids import fluids_step
from server.sim.physiology.gas import drive_step, exchange_step, heart_supply_step
from server.sim.physiology.rows import W
from server.sim.physiology.types import Block, Floats

SAMPLE_HZ = 125
SAMPLES_REFLEX = 5
SAMPLES_SLOW = 125
TRACED = (r.CATHETER, r.CLOCK, r.ROOT, r.PERIOD, r.P_AR, r.CO2_D1, r.V_L, r.P_RA, r.P_PA, r.MAP)


@njit(cache=True, error_model="numpy")
def slow(x: Block) -> None:
    """Drugs and fluids of one block, 1 s."""
    for i in range(W):
        drugs_step(x, i)
    for i in range(W):
        fluids_step(x, i)


@njit(cache=True, error_model="numpy")
def medium(x: Block, slot: int) -> None:
    """Reflex and gas of one block, 40 ms."""
    for i in range(W):
        firing_step(x, i)
    for i in range(W):
        delay_step(x, i, slot)
    for i in range(W):
        effector_step(x, i)
    for i in range(W):
        exchange_step(x, i)
    for i in range(W):
        drive_step(x, i)
    for i in range(W):
        heart_supply_step(x, i)


@njit(cache=True, error_model="numpy")
def sample(x: Block, substeps: int) -> None:
    """One sample of one block, 8 ms."""
    dt_s = 0.008 / substeps
    for _ in range(substeps):
        for i in range(W):
            circulation_step(x, i, dt_s)
    for i in range(W):
        beat_step(x, i)
    for i in range(W):
        mechanics_step(x, i)
    for i in range(W):
        airway_step(x, i)


@njit(cache=True, error_model="numpy", nogil=True)
def advance(blocks: Floats, first: int, count: int, substeps: int, trace: Floats) -> None:
    """Advance every block by `count` samples from sample number `first`.

    blocks (b, ROWS * W); trace (b, n, len(TRACED) * W): the first n samples are kept there (n may be 0).
    """
    for b in range(blocks.shape[0]):
        x = blocks[b]
        for k in range(count):
            now = first + k
            if now % SAMPLES_SLOW == 0:
                slow(x)
            if now % SAMPLES_REFLEX == 0:
                medium(x, now // SAMPLES_REFLEX)
            sample(x, substeps)
            if k < trace.shape[1]:
                for j, row in enumerate(TRACED):
                    for i in range(W):
                        trace[b, k, j * W + i] = x[row * W + i]


def empty(patients: int) -> Floats:
    """Zeroed blocks for that many patients."""
    return np.zeros((max(1, -(-patients // W)), r.ROWS * W))


def prime() -> None:
    """Compile for the real types."""
    advance(empty(1), 0, 1, 4, np.zeros((1, 0, len(TRACED) * W)))
