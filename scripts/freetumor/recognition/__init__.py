"""Training recognition networks on real and synthetic tumors, and predicting with them."""
