"""Compiled PPO, A2C and DQN for dense networks: arrays in, arrays out, NumPy and Numba only.

It knows neither Stable-Baselines3 nor specs nor files; ``rl_transfer.rl.compiled`` joins it to runs.
Nothing is imported here: Numba takes half a second, which runs on SB3 do not pay.
"""
