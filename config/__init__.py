"""Stack config: parsed into frozen models and refused, before any resource is registered, where it cannot work."""
