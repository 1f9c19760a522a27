"""Bills: what was used, by whom, what it costs, and how complete the figures are."""
