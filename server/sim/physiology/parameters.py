"""Every parameter of the model once: row, mean of a standard adult, allowed range, unit, source.

Owns the box: patients are made inside it (`twin.patients`) and nothing outside is accepted. The standard adult is a
man of 35 years, 175 cm, 75 kg. Ranges are about +-3 SD where a source gives one (Heldt 2002's table), wider for disease
and size.
"""

from typing import Final, NamedTuple

from server.sim.physiology import rows as r


class Parameter(NamedTuple):
    """One row of the table."""

    row: int
    mean: float
    low: float
    high: float
    unit: str
    source: str


HELDT = "Heldt 2002"
URSINO = "Ursino 1998"
FIT = "set so that the resting table of the validation holds"

PARAMETERS: Final[dict[str, Parameter]] = {
    "e_lv": Parameter(r.E_LV, 2.5, 0.4, 12.0, "mmHg/mL", "Chen 2001 (JACC 38:2028): 2.3 +- 1.0"),
    "v0_lv": Parameter(r.V0_LV, 10.0, 1.0, 60.0, "mL", HELDT),
    "ed_lv": Parameter(r.ED_LV, 0.08, 0.01, 0.6, "mmHg/mL", FIT),
    "ivs2_lv": Parameter(r.IVS2_LV, 4.0e-5, 4.0e-6, 4.0e-3, "1/mL2", FIT),
    "e_rv": Parameter(r.E_RV, 0.65, 0.2, 5.0, "mmHg/mL", "Dell'Italia 1988 (Circulation 77:1148)"),
    "v0_rv": Parameter(r.V0_RV, 22.0, 2.0, 70.0, "mL", FIT),
    "ed_rv": Parameter(r.ED_RV, 0.06, 0.005, 0.3, "mmHg/mL", FIT),
    "ivs2_rv": Parameter(r.IVS2_RV, 2.5e-5, 2.0e-6, 4.0e-3, "1/mL2", FIT),
    "emin_la": Parameter(r.EMIN_LA, 0.15, 0.03, 1.5, "mmHg/mL", FIT),
    "emax_la": Parameter(r.EMAX_LA, 0.35, 0.1, 3.0, "mmHg/mL", FIT),
    "v0_la": Parameter(r.V0_LA, 18.0, 1.0, 50.0, "mL", HELDT),
    "emin_ra": Parameter(r.EMIN_RA, 0.10, 0.03, 1.5, "mmHg/mL", FIT),
    "emax_ra": Parameter(r.EMAX_RA, 0.25, 0.1, 3.0, "mmHg/mL", FIT),
    "v0_ra": Parameter(r.V0_RA, 14.0, 1.0, 40.0, "mL", HELDT),
    "e_ao": Parameter(r.E_AO, 0.90, 0.3, 10.0, "mmHg/mL", "Stergiopulos 1995: C 1.3-1.6 mL/mmHg in all"),
    "v0_ao": Parameter(r.V0_AO, 120.0, 8.0, 300.0, "mL", HELDT),
    "e_ar": Parameter(r.E_AR, 2.9, 1.0, 30.0, "mmHg/mL", "Stergiopulos 1995"),
    "v0_ar": Parameter(r.V0_AR, 300.0, 20.0, 700.0, "mL", HELDT),
    "r_ao": Parameter(r.R_AO, 0.035, 0.01, 0.5, "mmHg s/mL", "Westerhof 2009 (Med Biol Eng Comput 47:131)"),
    "il_ao": Parameter(r.IL_AO, 400.0, 30.0, 900.0, "mL/(mmHg s2)", "Stergiopulos 1999: L 0.002-0.005"),
    "k_vp": Parameter(r.K_VP, 23.08, 8.0, 60.0, "mmHg", "Ursino 1998: C 61 + 50, here 95 mL/mmHg; limit over C"),
    "v0_vp": Parameter(r.V0_VP, 2470.0, 100.0, 7000.0, "mL", "Ursino 1998: 1,121 + 1,375"),
    "ivm_vp": Parameter(r.IVM_VP, 4.55e-4, 1.0e-4, 8.0e-3, "1/mL", "Heldt 2002: limits of 1,500 + 1,000 mL"),
    "e_vc": Parameter(r.E_VC, 0.05, 0.02, 0.6, "mmHg/mL", HELDT),
    "v0_vc": Parameter(r.V0_VC, 130.0, 8.0, 300.0, "mL", HELDT),
    "e_pa": Parameter(r.E_PA, 0.23, 0.08, 3.0, "mmHg/mL", HELDT),
    "v0_pa": Parameter(r.V0_PA, 90.0, 5.0, 250.0, "mL", HELDT),
    "e_pv": Parameter(r.E_PV, 0.12, 0.05, 1.5, "mmHg/mL", HELDT),
    "v0_pv": Parameter(r.V0_PV, 380.0, 20.0, 900.0, "mL", HELDT),
    "g_mv": Parameter(r.G_MV, 150.0, 8.0, 400.0, "mL/(s mmHg)", "Heldt 2002: 0.01 mmHg s/mL"),
    "g_av": Parameter(r.G_AV, 70.0, 4.0, 200.0, "mL/(s mmHg)", "Heldt 2002: 0.007, here 0.014 for 2 ms steps"),
    "g_tv": Parameter(r.G_TV, 150.0, 8.0, 400.0, "mL/(s mmHg)", HELDT),
    "g_pval": Parameter(r.G_PVAL, 150.0, 8.0, 300.0, "mL/(s mmHg)", "Heldt 2002: 0.006 mmHg s/mL"),
    "g_sys": Parameter(r.G_SYS, 1.08, 0.05, 4.0, "mL/(s mmHg)", FIT),
    "g_vp": Parameter(r.G_VP, 40.0, 1.2, 60.0, "mL/(s mmHg)", FIT),
    "g_vc": Parameter(r.G_VC, 100.0, 3.0, 150.0, "mL/(s mmHg)", FIT),
    "g_pul": Parameter(r.G_PUL, 13.0, 0.6, 40.0, "mL/(s mmHg)", "Heldt 2002: 0.08 mmHg s/mL"),
    "g_la": Parameter(r.G_LA, 80.0, 4.0, 200.0, "mL/(s mmHg)", HELDT),
    "t0": Parameter(r.T0, 0.81, 0.40, 1.4, "s", "resting table"),
    "pn": Parameter(r.PN, 97.0, 45.0, 135.0, "mmHg", "resting table; Ursino 1998: 92"),
    "gain_r": Parameter(r.GAIN_R, 0.30, 0.0, 0.8, "1", "Ursino 1998: 0.653 of 1.68, 0.695 of 3.3"),
    "gain_v": Parameter(r.GAIN_V, -400.0, -900.0, 0.0, "mL", "Ursino 1998: 265 + 133"),
    "gain_e": Parameter(r.GAIN_E, 0.17, 0.0, 0.6, "1", "Ursino 1998: 0.475 of 2.87"),
    "gain_ts": Parameter(r.GAIN_TS, -0.155, -0.4, 0.0, "1", "Ursino 1998: -0.13 s"),
    "gain_tv": Parameter(r.GAIN_TV, 0.105, 0.0, 0.3, "s", "Ursino 1998: 0.09 s per 1/s"),
    "r_rs": Parameter(r.R_RS, 0.0035, 0.001, 0.1, "cmH2O s/mL", "Lumb, Nunn's Respiratory Physiology"),
    "e_rs": Parameter(r.E_RS, 0.012, 0.006, 0.3, "cmH2O/mL", "Lumb: compliance of lung and chest 85-100 mL/cmH2O"),
    "e_cw": Parameter(r.E_CW, 0.005, 0.002, 0.12, "cmH2O/mL", "Lumb: chest wall 200 mL/cmH2O"),
    "ppl0": Parameter(r.PPL0, -5.0, -8.0, -1.0, "cmH2O", "Lumb"),
    "frc": Parameter(r.FRC, 2400.0, 150.0, 6000.0, "mL", "Lumb: 2.2-2.5 L supine"),
    "vd3": Parameter(r.VD3, 50.0, 3.0, 120.0, "mL", "Lumb: 2.2 mL/kg in all"),
    "rr0": Parameter(r.RR0, 13.5, 8.0, 45.0, "/min", "resting table"),
    "vt0": Parameter(r.VT0, 480.0, 25.0, 900.0, "mL", "resting table"),
    "pmus_gain": Parameter(r.PMUS_GAIN, 1.10, 1.0, 3.0, "1", FIT),
    "paco2_0": Parameter(r.PACO2_0, 40.0, 30.0, 60.0, "mmHg", "resting table"),
    "g_central": Parameter(r.G_CENTRAL, 0.22, 0.0, 0.8, "1/mmHg", "Reynolds 1972 (J Appl Physiol 32:47)"),
    "g_peripheral": Parameter(r.G_PERIPHERAL, 0.08, 0.0, 0.4, "1/mmHg", "Reynolds 1972"),
    "g_hypoxia": Parameter(r.G_HYPOXIA, 9.0, 0.0, 30.0, "1", "Rebuck 1974: 0.5-1.5 L/min per %"),
    "shunt": Parameter(r.SHUNT, 0.018, 0.0, 0.5, "1", "Lumb: 2 % of cardiac output"),
    "vo2": Parameter(r.VO2, 4.17, 0.3, 12.0, "mL/s STPD", "250 mL/min"),
    "vco2": Parameter(r.VCO2, 3.33, 0.25, 10.0, "mL/s STPD", "200 mL/min"),
    "v_o2": Parameter(r.V_O2, 3500.0, 200.0, 9000.0, "mL", "venous blood and myoglobin as blood"),
    "v_co2": Parameter(r.V_CO2, 11_000.0, 600.0, 30_000.0, "mL", "apnoea: 3-4 mmHg/min (Eger 1961)"),
    "v_art": Parameter(r.V_ART, 600.0, 30.0, 1500.0, "mL", "arterial blood on its way to the finger and the brain"),
    "kf": Parameter(r.KF, 0.04, 0.002, 0.2, "mL/(s mmHg)", "Hahn 2010: crystalloid half-time 20 min"),
    "c_isf": Parameter(r.C_ISF, 600.0, 30.0, 2000.0, "mL/mmHg", "Guyton 1965 (Circ Res 16:452)"),
    "v_isf0": Parameter(r.V_ISF0, 11_000.0, 700.0, 40_000.0, "mL", "150 mL/kg"),
    "pc0": Parameter(r.PC0, 7.5, 2.0, 15.0, "mmHg", "set from the patient's own rest"),
    "pi_onc": Parameter(r.PI_ONC, 25.0, 15.0, 30.0, "mmHg", "Landis and Pappenheimer 1963"),
    "weight": Parameter(r.WEIGHT, 75.0, 8.0, 250.0, "kg", ""),
    "temp": Parameter(r.TEMP, 37.0, 34.0, 41.0, "degC", ""),
    "ne_a": Parameter(r.NE_A, 0.9951, 0.98, 0.999, "1", "Beloeil 2005: half-life 2.4 min"),
    "ne_b": Parameter(r.NE_B, 0.0, 0.0, 10.0, "(ng/mL)/(ug/s)", "Beloeil 2005: clearance 2 L/min"),
    "ce50_bp": Parameter(r.CE50_BP, 4.5, 1.0, 10.0, "ug/mL", "Kazama 1999 (Anesthesiology 90:1517)"),
    "ce50_resp": Parameter(r.CE50_RESP, 1.6, 0.8, 6.0, "ug/mL", "Bouillon 2004 (Anesthesiology 100:240): 1.3"),
}
"""By name. The propofol matrix is computed per patient (`twin.propofol`) and is not a free parameter."""
