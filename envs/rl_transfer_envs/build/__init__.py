"""From a specification to an environment, and back."""
