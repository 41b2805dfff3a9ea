"""Patients: twins in numba lanes, what they show (waves, numbers, alarms), orders that act on them, device data beside them."""
