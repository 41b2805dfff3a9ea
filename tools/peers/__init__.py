"""Asclepion beside what people would pick instead, on the same work in the same run: `python -m tools.peers`."""
