"""What is wrong with bytes that should be a snapshot. Owns the two errors; raised by decoders, never by encoders."""


class SnapshotError(ValueError):
    """The bytes are not a snapshot: truncated, too long, or a value that cannot be."""


class NoBaseline(SnapshotError):
    """A delta whose keyframe is not at hand: skip it and wait for the next keyframe."""
