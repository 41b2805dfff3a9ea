"""Branch-free stand-ins for exp, log and sigmoids, so that lane loops stay vector code. Error of each is stated."""

from math import sqrt

from numba import njit


@njit(inline="always")
def ramp(x: float) -> float:
    """max(x, 0), exactly: numba's max is a call, which keeps a loop from becoming vector code."""
    return 0.5 * (x + abs(x))


@njit(inline="always")
def larger(a: float, b: float) -> float:
    """max(a, b)."""
    return b + ramp(a - b)


@njit(inline="always")
def smaller(a: float, b: float) -> float:
    """min(a, b)."""
    return b - ramp(b - a)


@njit(inline="always")
def pick(when: bool, a: float, b: float) -> float:
    """`a` when true, else `b`; both are known before, so that no branch is left."""
    return a if when else b


@njit(inline="always")
def clamp(x: float, low: float, high: float) -> float:
    """`x` within low..high."""
    return smaller(larger(x, low), high)


@njit(inline="always")
def smooth(x: float) -> float:
    """Smoothstep of x clamped to 0..1: 0 and 1 with zero slope; within 0.01 of (1 - cos(pi x)) / 2."""
    u = 1.0 - ramp(1.0 - ramp(x))
    return u * u * (3.0 - 2.0 * u)


@njit(inline="always")
def sigmoid(z: float) -> float:
    """0..1 with the logistic's middle and slope (1/4) and algebraic tails: within 0.08 of 1/(1+exp(-z))."""
    h = 0.5 * z
    return 0.5 + 0.5 * h / sqrt(1.0 + h * h)


@njit(inline="always")
def exp_minus(z: float) -> float:
    """exp(-z) for z in 0..4, Pade [3/3]: within 0.006."""
    z2 = z * z
    z3 = z2 * z
    return (120.0 - 60.0 * z + 12.0 * z2 - z3) / (120.0 + 60.0 * z + 12.0 * z2 + z3)


@njit(inline="always")
def log(x: float) -> float:
    """ln(x) for x in 1..16: fourth root, then atanh series; within 0.002."""
    y = sqrt(sqrt(x))
    s = (y - 1.0) / (y + 1.0)
    s2 = s * s
    return 8.0 * s * (1.0 + s2 * (1.0 / 3.0 + s2 * (0.2 + s2 / 7.0)))
