"""How promising a source looks on a target before anything is trained (docs/choosing-a-source.md)."""
