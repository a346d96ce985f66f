"""One RL run: its stages, its learning curve, and what is refused before it starts."""
