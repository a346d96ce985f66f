"""Runs that score a source on a target before anything is trained there, as the manifest lists them."""

SCORES = "scores"
"""Their role in ``sweep.json``; in their records ``source_scores`` has what they found."""
