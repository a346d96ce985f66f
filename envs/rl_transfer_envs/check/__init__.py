"""Proofs: a perturbation has an effect, every knob moves what it says, every default moves nothing."""
