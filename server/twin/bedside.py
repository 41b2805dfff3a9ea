"""All beds of the world: who lies there, what is shown, what acts. Owns sources, alarms and orders; never sends."""

from collections.abc import Sequence
from typing import Literal, Protocol

from server.twin.orders import Order
from server.twin.shown import BedOut, DeviceData


class Patient(Protocol):
    """What the bedside reads of a PatientSpec."""

    @property
    def sex(self) -> Literal["female", "male"]: ...
    @property
    def age_y(self) -> int: ...
    @property
    def height_cm(self) -> float: ...
    @property
    def weight_kg(self) -> float: ...
    @property
    def condition(self) -> str: ...


class Bedside:
    """Interface (the twin behind it is being filled in): see the methods."""

    def __init__(self, beds: Sequence[Patient], tick_hz: int, seed: int, waves_hz: int) -> None:
        self._beds = len(beds)

    def order(self, bed: int, order: Order, tick: int) -> None:
        """A recorded order takes effect at `tick`. Never raises."""

    def device(self, bed: int, block: DeviceData, tick: int) -> None:
        """Device data for a bed: it shows this source from now on, until `end` or 60 s of silence."""

    def acknowledge(self, bed: int, alarm: str, by: str, tick: int) -> bool:
        """Acknowledge a latched alarm. False if there is no such alarm."""
        return False

    def step(self, tick: int) -> list[BedOut]:
        """Advance all beds to `tick` (each tick once, rising by one); what to show, in bed order."""
        return []

    def digest(self) -> bytes:
        """16 bytes over everything that matters."""
        return bytes(16)

    def dump(self) -> bytes:
        """Everything needed to go on from here, versioned."""
        return b""

    def load(self, data: bytes) -> None:
        """Go on from a dump of the same beds. Raises ValueError on another version or other beds."""
