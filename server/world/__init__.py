"""The state of the world and the only code that changes it. Returns events; never sends, sleeps or reads a clock."""
