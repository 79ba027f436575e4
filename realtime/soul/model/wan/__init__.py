"""What the 5B has and soul-mini has not; imported only when a 5B model is loaded."""
