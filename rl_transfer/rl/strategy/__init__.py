"""What a strategy does to an SB3 model: before the first step, and while it trains."""
