"""The policy pack: what no stack of ours may ask for, checked in every preview, and on rendered objects."""
