"""Physics parameters, one family of environments a folder."""
