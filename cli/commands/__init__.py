"""The commands by subject: names, options and help. What they do is imported when it is asked for: help is quick."""
