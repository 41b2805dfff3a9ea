"""Asclepion: an authoritative metaverse server for healthcare."""

__version__ = "0.1.0"
