"""Wrappers that carry perturbations; each records its constructor arguments."""
