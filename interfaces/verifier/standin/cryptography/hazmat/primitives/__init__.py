"""A stand-in for the part of ``cryptography`` that ``domain.digest`` falls back on."""
