"""How good the synthesizer is: `python -m benchmarks.synthesizer` prints the table."""
