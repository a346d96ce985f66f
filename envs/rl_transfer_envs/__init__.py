"""Perturbed Gymnasium environments, usable without rl_transfer."""
