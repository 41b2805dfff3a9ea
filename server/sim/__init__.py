"""Kernels: arrays in, arrays changed. No clock, dice, I/O or objects."""
