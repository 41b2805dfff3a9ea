"""The rows of a lane block: what each of its numbers is. Owns the layout, computes nothing.

A block is one flat float64 array; number `row` of lane `i` is `block[row * W + i]`. Lane width W is a compile-time
constant, so that the inner loop over lanes becomes vector code. Units: mL, mL/s, mmHg, s, /min unless said.
Rows come in three groups: parameters (set once for a patient), inputs (set by orders), states (changed by kernels).
"""

from typing import Final

W: Final = 16

# --- parameters (means and ranges in parameters.py) ------------------------------------------------------------------
(
    E_LV, V0_LV, ED_LV, IVS2_LV,  # end-systolic elastance mmHg/mL, unstressed mL, diastolic mmHg/mL, stiffening 1/mL2
    E_RV, V0_RV, ED_RV, IVS2_RV,
    EMIN_LA, EMAX_LA, V0_LA, EMIN_RA, EMAX_RA, V0_RA,
    E_AO, V0_AO, E_AR, V0_AR,  # elastance mmHg/mL, unstressed mL
    R_AO, IL_AO,  # mmHg s/mL, 1/L in mL/(mmHg s2)
    K_VP, V0_VP, IVM_VP,  # peripheral veins: distension limit / compliance, unstressed, 1/distension limit (1/mL)
    E_VC, V0_VC, E_PA, V0_PA, E_PV, V0_PV,
    G_MV, G_AV, G_TV, G_PVAL,  # valve conductances mL/(s mmHg)
    G_SYS, G_VP, G_VC, G_PUL, G_LA,  # vessel conductances
    T0, PN, GAIN_R, GAIN_V, GAIN_E, GAIN_TS, GAIN_TV,  # baroreflex: resting period s, set point mmHg, gains
    R_RS, E_RS, E_CW, PPL0, FRC, VD3,  # cmH2O s/mL, cmH2O/mL, cmH2O/mL, cmH2O, mL, mL (a third of the dead space)
    RR0, VT0, PMUS_GAIN,  # resting breaths /min, mL, effort over elastic load
    PACO2_0, G_CENTRAL, G_PERIPHERAL, G_HYPOXIA,  # mmHg, 1/mmHg, 1/mmHg, 1/fraction
    SHUNT, VO2, VCO2, V_O2, V_CO2, V_ART,  # 1, mL/s STPD, mL/s STPD, mL, mL, mL
    KF, C_ISF, V_ISF0, PC0, PI_ONC,  # mL/(s mmHg), mL/mmHg, mL, mmHg, mmHg
    WEIGHT, TEMP,  # kg, degC
    PROPOFOL_A,  # first of 16: exact step of 1 s, row-major 4x4 (central, fast, slow, effect site), mg/L
) = range(72)  # fmt: skip
PROPOFOL_B: Final = PROPOFOL_A + 16  # first of 4: effect of 1 mg/s over 1 s
(NE_A, NE_B, CE50_BP, CE50_RESP) = range(PROPOFOL_B + 4, PROPOFOL_B + 8)  # norepinephrine 1 s step; ug/mL
PARAMETERS: Final = PROPOFOL_B + 8

# --- inputs ----------------------------------------------------------------------------------------------------
(IN_FLUID, IN_BLEED, IN_NE, IN_PROPOFOL, FIO2, VENT_ON, VENT_RATE, VENT_VT, VENT_PEEP) = range(
    PARAMETERS, PARAMETERS + 9
)  # mL/s, mL/s, ug/s, mg/s, 1, 0 or 1, /min, mL, cmH2O
INPUTS: Final = 9

# --- states ----------------------------------------------------------------------------------------------------
_S: Final = PARAMETERS + INPUTS
(
    V_LV, V_RV, V_LA, V_RA, V_AO, V_AR, V_VP, V_VC, V_PA, V_PV,  # volumes: the ten that hold the blood
    Q_AO, CLOCK, PERIOD, ROOT, PER_ROOT, P_TH,  # inertial flow, s since the beat began, its length, sqrt, 1/sqrt, mmHg
    G_SYS_NOW, E_LV_NOW, E_RV_NOW, V0_VP_NOW, T_NEXT,  # after reflex and drugs
    CATHETER, CATHETER_V, Q_EXT, SV_SUM, Q_MEAN,  # measured ABP, its slope, mL/s into the veins, mL, mL/s
    P_AO, P_AR, P_VP, P_PA, P_RA,  # pressures of the last fast step
    P_BARO, FES, FEV, FES_LATE, FES_VEINS, FEV_LATE,  # baroreflex: mmHg, firing rates now and delayed 1/s
    S_R, S_V, S_E, S_TS, S_TV,  # its effectors
    PHASE, BREATH_RATE, PMUS_MAX, V_L, FLOW, DRIVE, P_BRAIN,  # breathing
    CO2_A, O2_A, CO2_D1, CO2_D2, CO2_D3, O2_D1, O2_D2, O2_D3,  # mmHg: alveoli, dead space from the mouth inwards
    J_O2, J_CO2, CA_O2, CA_CO2, CV_O2, CV_CO2, PA_O2, PA_CO2, PV_O2,  # mL/s, mL/mL, mmHg
    SAT_A, SPO2, HB, SUFFERS,  # fraction, % after the finger's delay, g/mL, the heart's lack of oxygen 0..1
    DRUG_1, DRUG_2, DRUG_3, DRUG_E, NE,  # propofol mg/L (= ug/mL), norepinephrine ng/mL
    F_SVR, F_V0, F_E, F_BARO, F_PN, F_RESP,  # what drugs do
    RBC, PROTEIN, V_ISF, P_CAP, TOTAL_IN, TOTAL_OUT,  # mL, g, mL, mmHg, mL, mL
    ABP_MAX, ABP_MIN, ABP_SUM, BEAT_N, LV_MAX, LV_MIN, PA_MAX, PA_MIN, RA_SUM,  # over the running beat
    HR, SAP, DAP, MAP, SV, CO, EDV, ESV, PAP_S, PAP_D, CVP,  # of the last beat
    CO2_MAX, VL_MAX, VL_MIN, RR, VT, ETCO2, SINCE_BREATH, BREATH_S,  # of the last breath; s since it, its length
) = range(_S, _S + 115)  # fmt: skip
RING: Final = 128  # 40 ms slots of delayed firing rates; a power of two
FES_RING: Final = _S + 115
FEV_RING: Final = FES_RING + RING
ROWS: Final = FEV_RING + RING

BLOOD: Final = (V_LV, V_RV, V_LA, V_RA, V_AO, V_AR, V_VP, V_VC, V_PA, V_PV)
