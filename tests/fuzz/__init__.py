"""Stack files at random against what has to hold for all: a few in the tests, many by `python -m tests.fuzz`."""
