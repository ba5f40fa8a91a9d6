"""What a map of a CNN sees: activations, and inputs that excite it."""
