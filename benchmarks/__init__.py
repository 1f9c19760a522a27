"""Measurements. Figures of one machine on one day are in docs/performance.md; nothing here is asserted in a test."""
