"""What `up`, `preview`, `refresh`, `destroy` and `down` do with a stack, its engine and its state."""
