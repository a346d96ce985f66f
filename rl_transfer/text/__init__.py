"""Texts, the second kind of labelled data: transformer encoders under a linear head."""
