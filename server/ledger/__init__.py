"""An append-only signed log (C2SP tiles). Imports nothing of ours; knows no world, room or patient."""
