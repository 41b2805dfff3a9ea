"""The body of a patient, lane by lane: one module per organ system, one kernel that advances them all."""
