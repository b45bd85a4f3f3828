"""Each file is a suite: `python -m suites.<name> --binary PATH`."""
