"""Heart and vessels: four time-varying elastances and six vessels in a closed loop, 2 ms steps.

Owns volumes, pressures and the catheter. Volumes change only by flows between compartments and by Q_EXT, so that what
leaves one enters the next. Structure and normal values after Heldt 2002 (J Appl Physiol 92:1239), elastance drive after
Suga and Sagawa 1974 (Circ Res 35:117), timing by the square root of the beat's length (Heldt 2002, eq. 4).
"""

from math import sqrt

from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.algebra import clamp, larger, pick, ramp, smaller, smooth
from server.sim.physiology.rows import W
from server.sim.physiology.types import Block

PR = 0.12  # s per sqrt(s): atria before ventricles
SYSTOLE = 0.30  # s per sqrt(s): ventricles from onset to peak elastance; relaxation takes half as long
ATRIAL = 0.20  # s per sqrt(s)
PER_SYSTOLE, PER_ATRIAL = 1.0 / SYSTOLE, 1.0 / ATRIAL
DRAIN_PER_S = 20.0
CATHETER_W = 94.2  # rad/s: 15 Hz natural frequency
CATHETER_Z = 0.6  # damping, Gardner 1981 (Anesthesiology 54:227)


@njit(inline="always")
def activation(u: float) -> float:
    """0..1..0: rises for u in 0..1, falls in 1..1.5 (u: time from onset over its length); for Heldt's cosines."""
    return smooth(u) * (1.0 - smooth(2.0 * u - 2.0))


@njit(inline="always")
def ventricle(volume: float, onset: float, elastance: float, v0: float, diastolic: float, ivs2: float) -> float:
    """Transmural pressure, mmHg: activation blends a stiffening passive curve into the end-systolic line."""
    v = volume - v0
    return onset * elastance * v + (1.0 - onset) * diastolic * v * (1.0 + v * v * ivs2)


@njit(inline="always")
def venous_pressure(volume: float, scale: float, v0: float, ivm: float) -> float:
    """mmHg: 1/C at the unstressed volume, stiffening towards the limit (rational for Heldt's arctan); suction when
    collapsed stays above half the scale. `ivm` is one over the distension limit, `scale` the limit over the compliance.
    """
    u = smaller((volume - v0) * ivm, 0.97)
    full = ramp(u)
    slack = u - full
    return scale * (full / (1.0 - full * full) + slack / (1.0 - 2.0 * slack))


@njit(inline="always")
def flow(wanted: float, source: float, sink: float) -> float:
    """The flow wanted from one volume to another, mL/s; no compartment gives more than 20 times its volume a second.

    Far above any real flow; it keeps volumes positive when a heart or vein runs empty, whatever the pressures say.
    """
    return clamp(wanted, -DRAIN_PER_S * sink, DRAIN_PER_S * source)


@njit(inline="always")
def circulation_step(x: Block, i: int, dt_s: float) -> None:
    """Advance lane `i` by dt_s."""
    clock = x[r.CLOCK * W + i]
    beat = clock * x[r.PER_ROOT * W + i]
    atria = activation(beat * PER_ATRIAL)
    heart = activation((beat - PR) * PER_SYSTOLE)
    p_th = x[r.P_TH * W + i]
    v_lv, v_rv = x[r.V_LV * W + i], x[r.V_RV * W + i]
    v_la, v_ra = x[r.V_LA * W + i], x[r.V_RA * W + i]
    v_ao, v_ar, v_vp = x[r.V_AO * W + i], x[r.V_AR * W + i], x[r.V_VP * W + i]
    v_vc, v_pa, v_pv = x[r.V_VC * W + i], x[r.V_PA * W + i], x[r.V_PV * W + i]
    ed_lv, ed_rv = x[r.ED_LV * W + i], x[r.ED_RV * W + i]
    p_lv = p_th + ventricle(v_lv, heart, x[r.E_LV_NOW * W + i], x[r.V0_LV * W + i], ed_lv, x[r.IVS2_LV * W + i])
    p_rv = p_th + ventricle(v_rv, heart, x[r.E_RV_NOW * W + i], x[r.V0_RV * W + i], ed_rv, x[r.IVS2_RV * W + i])
    e_la, e_ra = x[r.EMIN_LA * W + i], x[r.EMIN_RA * W + i]
    p_la = p_th + (e_la + (x[r.EMAX_LA * W + i] - e_la) * atria) * (v_la - x[r.V0_LA * W + i])
    p_ra = p_th + (e_ra + (x[r.EMAX_RA * W + i] - e_ra) * atria) * (v_ra - x[r.V0_RA * W + i])
    p_ao = p_th + x[r.E_AO * W + i] * (v_ao - x[r.V0_AO * W + i])
    p_ar = x[r.E_AR * W + i] * (v_ar - x[r.V0_AR * W + i])
    p_vp = venous_pressure(v_vp, x[r.K_VP * W + i], x[r.V0_VP_NOW * W + i], x[r.IVM_VP * W + i])
    p_vc = p_th + x[r.E_VC * W + i] * (v_vc - x[r.V0_VC * W + i])
    p_pa = p_th + x[r.E_PA * W + i] * (v_pa - x[r.V0_PA * W + i])
    p_pv = p_th + x[r.E_PV * W + i] * (v_pv - x[r.V0_PV * W + i])
    q_mv = flow(ramp(p_la - p_lv) * x[r.G_MV * W + i], v_la, v_lv)
    q_av = flow(ramp(p_lv - p_ao) * x[r.G_AV * W + i], v_lv, v_ao)
    q_tv = flow(ramp(p_ra - p_rv) * x[r.G_TV * W + i], v_ra, v_rv)
    q_rv = flow(ramp(p_rv - p_pa) * x[r.G_PVAL * W + i], v_rv, v_pa)
    q_ao = x[r.Q_AO * W + i]
    q_ao += dt_s * x[r.IL_AO * W + i] * (p_ao - p_ar - x[r.R_AO * W + i] * q_ao)
    q_ao = flow(q_ao, v_ao, v_ar)
    q_sys = flow((p_ar - p_vp) * x[r.G_SYS_NOW * W + i], v_ar, v_vp)
    q_vp = flow((p_vp - p_vc) * x[r.G_VP * W + i], v_vp, v_vc)
    q_vc = flow((p_vc - p_ra) * x[r.G_VC * W + i], v_vc, v_ra)
    q_pul = flow((p_pa - p_pv) * x[r.G_PUL * W + i], v_pa, v_pv)
    q_la = flow((p_pv - p_la) * x[r.G_LA * W + i], v_pv, v_la)
    x[r.V_LV * W + i] = v_lv + dt_s * (q_mv - q_av)
    x[r.V_RV * W + i] = v_rv + dt_s * (q_tv - q_rv)
    x[r.V_LA * W + i] = v_la + dt_s * (q_la - q_mv)
    x[r.V_RA * W + i] = v_ra + dt_s * (q_vc - q_tv)
    x[r.V_AO * W + i] = v_ao + dt_s * (q_av - q_ao)
    x[r.V_AR * W + i] = v_ar + dt_s * (q_ao - q_sys)
    x[r.V_VP * W + i] = v_vp + dt_s * (q_sys - q_vp + x[r.Q_EXT * W + i])
    x[r.V_VC * W + i] = v_vc + dt_s * (q_vp - q_vc)
    x[r.V_PA * W + i] = v_pa + dt_s * (q_rv - q_pul)
    x[r.V_PV * W + i] = v_pv + dt_s * (q_pul - q_la)
    x[r.Q_AO * W + i] = q_ao
    x[r.CLOCK * W + i] = clock + dt_s
    slope = x[r.CATHETER_V * W + i]
    measured = x[r.CATHETER * W + i]
    slope += dt_s * CATHETER_W * (CATHETER_W * (p_ar - measured) - 2.0 * CATHETER_Z * slope)
    x[r.CATHETER_V * W + i] = slope
    x[r.CATHETER * W + i] = measured + dt_s * slope
    x[r.SV_SUM * W + i] += dt_s * q_av
    x[r.Q_MEAN * W + i] += dt_s * 0.7 * (q_pul - x[r.Q_MEAN * W + i])
    x[r.P_AO * W + i] = p_ao
    x[r.P_AR * W + i] = p_ar
    x[r.P_VP * W + i] = p_vp
    x[r.P_PA * W + i] = p_pa
    x[r.P_RA * W + i] = p_ra


@njit(inline="always")
def beat_step(x: Block, i: int) -> None:
    """Once per 8 ms sample: extremes of the running beat; at its end latch the numbers and the next beat's length."""
    abp = x[r.CATHETER * W + i]
    high, low = larger(x[r.ABP_MAX * W + i], abp), smaller(x[r.ABP_MIN * W + i], abp)
    total, n = x[r.ABP_SUM * W + i] + abp, x[r.BEAT_N * W + i] + 1.0
    lv, pa = x[r.V_LV * W + i], x[r.P_PA * W + i]
    lv_high, lv_low = larger(x[r.LV_MAX * W + i], lv), smaller(x[r.LV_MIN * W + i], lv)
    pa_high, pa_low = larger(x[r.PA_MAX * W + i], pa), smaller(x[r.PA_MIN * W + i], pa)
    ra = x[r.RA_SUM * W + i] + x[r.P_RA * W + i]
    period, clock, stroke = x[r.PERIOD * W + i], x[r.CLOCK * W + i], x[r.SV_SUM * W + i]
    over = clock >= period
    x[r.SAP * W + i] = pick(over, high, x[r.SAP * W + i])
    x[r.DAP * W + i] = pick(over, low, x[r.DAP * W + i])
    x[r.MAP * W + i] = pick(over, total / n, x[r.MAP * W + i])
    x[r.CVP * W + i] = pick(over, ra / n, x[r.CVP * W + i])
    x[r.HR * W + i] = pick(over, 60.0 / period, x[r.HR * W + i])
    x[r.SV * W + i] = pick(over, stroke, x[r.SV * W + i])
    x[r.CO * W + i] = pick(over, 0.06 * stroke / period, x[r.CO * W + i])
    x[r.EDV * W + i] = pick(over, lv_high, x[r.EDV * W + i])
    x[r.ESV * W + i] = pick(over, lv_low, x[r.ESV * W + i])
    x[r.PAP_S * W + i] = pick(over, pa_high, x[r.PAP_S * W + i])
    x[r.PAP_D * W + i] = pick(over, pa_low, x[r.PAP_D * W + i])
    x[r.ABP_MAX * W + i] = pick(over, -1e3, high)
    x[r.ABP_MIN * W + i] = pick(over, 1e3, low)
    x[r.LV_MAX * W + i] = pick(over, 0.0, lv_high)
    x[r.LV_MIN * W + i] = pick(over, 1e4, lv_low)
    x[r.PA_MAX * W + i] = pick(over, -1e3, pa_high)
    x[r.PA_MIN * W + i] = pick(over, 1e3, pa_low)
    x[r.ABP_SUM * W + i] = pick(over, 0.0, total)
    x[r.RA_SUM * W + i] = pick(over, 0.0, ra)
    x[r.BEAT_N * W + i] = pick(over, 0.0, n)
    x[r.SV_SUM * W + i] = pick(over, 0.0, stroke)
    following = x[r.T_NEXT * W + i]
    x[r.CLOCK * W + i] = pick(over, clock - period, clock)
    x[r.PERIOD * W + i] = pick(over, following, period)
    root = sqrt(following)
    x[r.ROOT * W + i] = pick(over, root, x[r.ROOT * W + i])
    x[r.PER_ROOT * W + i] = pick(over, 1.0 / root, x[r.PER_ROOT * W + i])
