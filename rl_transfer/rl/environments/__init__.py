"""Environments as the RL room uses them: built, batched, seeded, evaluated."""
