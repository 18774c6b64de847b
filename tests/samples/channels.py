"""The channels that each end station records with every point, in the fixed order of its control system.

The value beside a name is what the channel reads in the made-up files. Zero is what an unconnected channel reads.
"""

import math

BL631: dict[str, float] = {
    "Beam Current": 500.0,
    "I0 ES": 0.0,
    "EY": 0.0,
    "Counter 2": 0.0,
    "LY": 0.0,
    "Clock": 0.0,
    "Energy": 0.0,
    "Exit Slit": 39.996,
    "I0 Gain": 5.0,
    "EY Gain": 8.0,
    "LY Gain": 5.0,
    "X": -0.00238095,
    "Y": -5.5,
    "Z": 100.5,
    "Theta": -0.01409975,
    "Magnet Field": 0.0,
    "Aperture Position": -2.79990149,
    "Aperture Size": 0.50014085,
    "Temp A": 0.0,
    "Temp B": 0.0,
    "Heater Range": 0.0,
    "Heater Power": 0.0,
    "Temp A (HT)": 0.0,
    "Temp B (HT)": 0.0,
    "Heater Range (HT)": math.nan,
    "Heater Power (HT)": math.nan,
    "Ion Gauge ES": 2.2e-7,
    "Pirani Gauge ES": 0.0,
    "Grating Motor": -6463505.5,
    "Grating Transverse": 149802.0,
    "M1 UP LVDT": 0.0,
    "M1 DN LVDT": 0.0,
    "M2 UP LVDT": 0.0,
    "M2 DN LVDT": 0.0,
    "M3 UP LVDT": 0.0,
    "M3 DN LVDT": 0.0,
    "M2 Temperature": 27.5,
    "Hall Probe 1": 0.0,
    "Hall Probe 2": 0.0,
    "Hall Probe 3": 0.0,
    "Hall Probe 4": 0.0,
    "Gate": 0.0,
    "Magnet Resistance": 0.0,
    "Raw Magnet Voltage": 0.0,
    "Raw Magnet Current": 0.0,
    "Magnet Voltage": 0.0,
    "Magnet Current": 0.0,
    "Sample Bias": 0.0,
}
"""6.3.1 in 2017: with two time columns and three motors before them, files have 53 columns."""

_VMM_NAMES = """
I0 BL|I0 ES|EY|LY|FY|Clock|PD|EY SCVM|LY SCVM|Temp A|Temp B|Cryogen Totalizer|X|Y|Z|Theta|Beam Current|
Cryo Heater Power|Temp A (HT)|Temp B (HT)|Hx|Hy|Hz|XMCD H|XMCD Phi|XMLD H|XMLD Phi|XMLD Theta|Entrance Slit Width|
Exit Slit Width|M206 Pitch|M201 Roll|I0 ES Amp (nA)|I0 BL Amp (nA)|EY Amp (nA)|LY Amp (nA)|FY Amp (nA)|Energy|
Polarization|Premirror|MonoGrating|EPU Gap|EPU Z|Power Sensor|Counter 4 Don't use|Counter 5 Don't use|
Keithley 6487 Voltage|Keithley 6487 Meas Curr Range|Voltage 0|Voltage 1|Voltage 2|Voltage 3|Hall 1|Hall 2|Hall 3|
K428 VBias|Pole Temp 1|Pole Temp 2|Pole Temp 3|Pole Temp 4|Pole Temp 5|Pole Temp 6|Pole Temp 7|Pole Temp 8|
Magnet Voltage 1|Magnet Voltage 2|Magnet Voltage 3|Magnet Voltage 4|Magnet Current 1|Magnet Current 2|
Magnet Current 3|Magnet Current 4|MagnResistance1|MagnResistance2|MagnResistance3|MagnResistance4|RawMagnVoltage 1|
RawMagnVoltage 2|RawMagnVoltage 3|RawMagnVoltage 4|RawMagnCurrent 1|RawMagnCurrent 2|RawMagnCurrent 3|
RawMagnCurrent 4|Gate|HP 3458A DMM #1|HP 3458A DMM #2|Keithley 196 DMM|Sample Temperature|Charcoal Temperature|
Supercon Magnet|9T Temp Ctrlr A|9T Temp Ctrlr B|9T Shield Temp|9T Switch Temp|9T 2nd Stage Temp|9T Magnet Temp|
9T Shield Temp BACKUP|9T Switch Temp BACKUP|9T 2nd Stage Temp BACKUP|9T Magnet Temp BACKUP|9T Magnet Field|
K2700 Ch 1|K2700 Ch 2|K2700 Ch 3|K2700 Ch 4
"""

_VMM_VALUES = {
    "Temp A": 295.3,
    "Temp B": 294.8,
    "X": 0.12,
    "Y": -1.35,
    "Z": 14.2,
    "Theta": 30.0,
    "Beam Current": 500.0,
    "Entrance Slit Width": 60.0,
    "Exit Slit Width": 50.0,
    "M206 Pitch": -12.4,
    "M201 Roll": 0.03,
    "I0 ES Amp (nA)": 10.0,
    "I0 BL Amp (nA)": 20.0,
    "EY Amp (nA)": 5.0,
    "LY Amp (nA)": 50.0,
    "EPU Gap": 21.7,
    **{f"Pole Temp {pole}": 292.0 for pole in range(1, 9)},
}

BL402: dict[str, float] = {name: _VMM_VALUES.get(name, 0.0) for name in _VMM_NAMES.replace("\n", "").split("|") if name}
"""The vector magnet station of 4.0.2 in 2021: with two time columns and ``Hx Actual`` a loop has 109 columns."""
