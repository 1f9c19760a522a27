"""The layers of the service: one component per file, each with the pure functions that make its objects' bodies."""
