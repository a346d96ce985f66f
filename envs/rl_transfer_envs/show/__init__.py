"""What people look at: the catalogue, previews, tables for the docs."""
