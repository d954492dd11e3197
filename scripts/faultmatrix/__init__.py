"""The parts of scripts/faults."""
