"""The HTTP service: the same use cases for programs of others (docs/http.md)."""
