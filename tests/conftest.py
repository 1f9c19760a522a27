"""What holds for every test."""

import gc
import signal

# A run in the background starts with SIGINT ignored, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the run: the SDK's thousands of classes, and the tests."""
    gc.collect()
    gc.freeze()
