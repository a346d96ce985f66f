"""The supervised image side: backbones, data and training on the same core verbs as the RL side."""
