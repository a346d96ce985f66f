"""The registries: parameters, perturbations, environment ids."""
