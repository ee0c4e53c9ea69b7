"""The routes, one file for each use case."""
