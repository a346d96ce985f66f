"""Supervised transfer: everything that no picture and no word needs."""
