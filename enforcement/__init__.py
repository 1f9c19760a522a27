"""What Kuadrant does with our policies, as a pure library: no Kubernetes, no HTTP, no clock of its own."""
