"""Heart and vessels: four time-varying elastances and six vessels in a closed loop, 2 ms steps.

Owns volumes, pressures and the catheter. Volumes change only by flows between compartments and by Q_EXT, so that what
leaves one enters the next. Structure and normal values after Heldt 2002 (J Appl Physiol 92:1239), elastance drive after
Suga and Sagawa 1974 (Circ Res 35:117), timing by the square root of the beat's length (Heldt 2002, eq. 4).
"""

from numba import njit

from server.sim.physiology import rows as r
from server.sim.physiology.algebra import clamp, smooth
from server.sim.physiology.rows import W
from server.sim.physiology.types import Block

PR = 0.12  # s per sqrt(s): atria before ventricles
SYSTOLE = 0.30  # s per sqrt(s): ventricles from onset to peak elastance; relaxation takes half as long
ATRIAL = 0.20  # s per sqrt(s)
CATHETER_W = 94.2  # rad/s: 15 Hz natural frequency
CATHETER_Z = 0.6  # damping, Gardner 1981 (Anesthesiology 54:227)


@njit(inline="always")
def activation(t: float, length: float) -> float:
    """0..1..0: rises over `length`, falls over half of it (t from onset, s). Polynomial for Heldt's cosines."""
    return smooth(t / length) * (1.0 - smooth((t - length) / (0.5 * length)))


@njit(inline="always")
def ventricle(volume: float, onset: float, elastance: float, v0: float, diastolic: float, ivs2: float) -> float:
    """Transmural pressure, mmHg: activation blends a stiffening passive curve into the end-systolic line."""
    v = volume - v0
    return onset * elastance * v + (1.0 - onset) * diastolic * v * (1.0 + v * v * ivs2)


@njit(inline="always")
def venous_pressure(volume: float, elastance: float, v0: float, ivm: float) -> float:
    """mmHg: 1/C at the unstressed volume, stiffening without bound towards the limits (rational for Heldt's arctan)."""
    u = clamp((volume - v0) * ivm, -0.97, 0.97)
    return elastance / ivm * u / (1.0 - u * u)


@njit(inline="always")
def circulation_step(x: Block, i: int, dt_s: float) -> None:
    """Advance lane `i` by dt_s."""
    root = x[r.ROOT * W + i]
    clock = x[r.CLOCK * W + i]
    atria = activation(clock, ATRIAL * root)
    heart = activation(clock - PR * root, SYSTOLE * root)
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
    p_vp = venous_pressure(v_vp, x[r.E_VP * W + i], x[r.V0_VP_NOW * W + i], x[r.IVM_VP * W + i])
    p_vc = p_th + x[r.E_VC * W + i] * (v_vc - x[r.V0_VC * W + i])
    p_pa = p_th + x[r.E_PA * W + i] * (v_pa - x[r.V0_PA * W + i])
    p_pv = p_th + x[r.E_PV * W + i] * (v_pv - x[r.V0_PV * W + i])
    q_mv = max(p_la - p_lv, 0.0) * x[r.G_MV * W + i]
    q_av = max(p_lv - p_ao, 0.0) * x[r.G_AV * W + i]
    q_tv = max(p_ra - p_rv, 0.0) * x[r.G_TV * W + i]
    q_rv = max(p_rv - p_pa, 0.0) * x[r.G_PVAL * W + i]
    q_ao = x[r.Q_AO * W + i]
    q_ao += dt_s * x[r.IL_AO * W + i] * (p_ao - p_ar - x[r.R_AO * W + i] * q_ao)
    q_sys = (p_ar - p_vp) * x[r.G_SYS_NOW * W + i]
    q_vp = (p_vp - p_vc) * x[r.G_VP * W + i]
    q_vc = (p_vc - p_ra) * x[r.G_VC * W + i]
    q_pul = (p_pa - p_pv) * x[r.G_PUL * W + i]
    q_la = (p_pv - p_la) * x[r.G_LA * W + i]
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
    high, low = max(x[r.ABP_MAX * W + i], abp), min(x[r.ABP_MIN * W + i], abp)
    total, n = x[r.ABP_SUM * W + i] + abp, x[r.BEAT_N * W + i] + 1.0
    lv, pa = x[r.V_LV * W + i], x[r.P_PA * W + i]
    lv_high, lv_low = max(x[r.LV_MAX * W + i], lv), min(x[r.LV_MIN * W + i], lv)
    pa_high, pa_low = max(x[r.PA_MAX * W + i], pa), min(x[r.PA_MIN * W + i], pa)
    ra = x[r.RA_SUM * W + i] + x[r.P_RA * W + i]
    period, clock, stroke = x[r.PERIOD * W + i], x[r.CLOCK * W + i], x[r.SV_SUM * W + i]
    over = clock >= period
    x[r.SAP * W + i] = high if over else x[r.SAP * W + i]
    x[r.DAP * W + i] = low if over else x[r.DAP * W + i]
    x[r.MAP * W + i] = total / n if over else x[r.MAP * W + i]
    x[r.CVP * W + i] = ra / n if over else x[r.CVP * W + i]
    x[r.HR * W + i] = 60.0 / period if over else x[r.HR * W + i]
    x[r.SV * W + i] = stroke if over else x[r.SV * W + i]
    x[r.CO * W + i] = 0.06 * stroke / period if over else x[r.CO * W + i]
    x[r.EDV * W + i] = lv_high if over else x[r.EDV * W + i]
    x[r.ESV * W + i] = lv_low if over else x[r.ESV * W + i]
    x[r.PAP_S * W + i] = pa_high if over else x[r.PAP_S * W + i]
    x[r.PAP_D * W + i] = pa_low if over else x[r.PAP_D * W + i]
    x[r.ABP_MAX * W + i] = -1e3 if over else high
    x[r.ABP_MIN * W + i] = 1e3 if over else low
    x[r.LV_MAX * W + i] = 0.0 if over else lv_high
    x[r.LV_MIN * W + i] = 1e4 if over else lv_low
    x[r.PA_MAX * W + i] = -1e3 if over else pa_high
    x[r.PA_MIN * W + i] = 1e3 if over else pa_low
    x[r.ABP_SUM * W + i] = 0.0 if over else total
    x[r.RA_SUM * W + i] = 0.0 if over else ra
    x[r.BEAT_N * W + i] = 0.0 if over else n
    x[r.SV_SUM * W + i] = 0.0 if over else stroke
    following = x[r.T_NEXT * W + i]
    x[r.CLOCK * W + i] = clock - period if over else clock
    x[r.PERIOD * W + i] = following if over else period
    x[r.ROOT * W + i] = following**0.5 if over else x[r.ROOT * W + i]
