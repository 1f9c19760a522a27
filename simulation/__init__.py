"""Traffic on a virtual clock through the same library that the sandbox's gateway asks: what a stack would have done."""
