"""The model simulator: a stand-in for a vLLM server that needs no GPU and no dependency."""
