"""Patients: twins in numba lanes, what they show (waves, numbers, alarms), orders on them, device data beside them."""
