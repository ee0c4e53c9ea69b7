"""A stand-in for the C package that ``gmssl`` imports and the verifier has no use for."""
