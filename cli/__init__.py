"""The command line for the people who run Models-as-a-Service."""
