"""Parameters of Gymnasium's classic-control environments."""
