"""What holds for every test."""

import gc
import signal

from hypothesis import HealthCheck, settings

# Nearly all that tests load stays for as long as they run: looking through it for garbage again and again takes time.
gc.set_threshold(50_000)

# A run in the background starts with SIGINT ignored, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the run: the SDK's thousands of classes, and the tests."""
    gc.collect()
    gc.freeze()


# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("maas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("maas")
