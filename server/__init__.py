"""Asclepion: an authoritative metaverse server for healthcare."""
