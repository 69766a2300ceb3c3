"""Programs to read, run and copy: each of them is executed by `tests/test_examples.py`."""
