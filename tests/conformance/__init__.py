"""What the field's own controllers say of our objects."""
