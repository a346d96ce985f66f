"""Parameters of Gymnasium's Box2D environments."""
