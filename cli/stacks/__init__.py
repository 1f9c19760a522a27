"""The stacks of the project and their files."""
