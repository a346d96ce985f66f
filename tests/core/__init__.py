"""Tests of the transfer core, on plain torch modules."""
