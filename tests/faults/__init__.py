"""Damages of every file of a sweep folder, and what is made of each."""
