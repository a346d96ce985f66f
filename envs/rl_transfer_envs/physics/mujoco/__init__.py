"""Parameters of Gymnasium's MuJoCo robots, and of any user's MuJoCo model."""
