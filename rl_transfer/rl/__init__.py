"""Runs of reinforcement learning: Stable-Baselines3 behind the `Room` protocol."""
