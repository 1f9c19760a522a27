"""PromQL for what counters grew: reset-safe, exact, and alike in every rule."""

BY = ("user", "tier", "model", "team", "cost_centre")
"""The labels that usage is told apart by. One that the TelemetryPolicy does not set is simply not there."""
WITHOUT_MODEL = tuple(label for label in BY if label != "model")
"""Calls are counted before the answer tells the model."""


def by(labels: tuple[str, ...]) -> str:
    """The grouping of an aggregation."""
    return f"by ({', '.join(labels)})"


def growth(counter: str, labels: tuple[str, ...], alive: str) -> str:
    """What a counter grew in the last minute as far as it was scraped, summed by `labels`.

    It does what `increase()` is for, without its two errors: nothing is extrapolated, so that the results are whole
    numbers and add up (`sum_over_time(...[1d])` is the day), and the first value of a new counter counts (a user's
    counter begins with the first tokens; `increase()` would need one more sample to see any). The value is compared
    with the last one before, up to an hour back, so that a failed scrape loses nothing:

    - it is the same or larger: the difference counts;
    - it is smaller: the limiter was restarted. All of the new value counts, and what was scraped before the restart;
    - there was none before: all of it counts, if `alive` says that the target was scraped then. If it was not, nobody
      knows how old the counter is.

    Args:
        counter: Selector of the counter, such as `authorized_hits{model!=""}`.
        labels: What to keep apart.
        alive: A metric that the same target always has.
    """
    now, before = f"last_over_time({counter}[5m])", f"last_over_time({counter}[1h] offset 1m)"
    peak = f"max_over_time({counter}[1m])"
    return f"""sum {by(labels)} (
  ({now} - {before}) >= 0
  or
  ({now} + ({peak} - {before} >= 0))
  or
  ({now} and {before})
  or
  ({now} unless {before}) and on (namespace) last_over_time({alive}[1h] offset 1m)
)"""
