"""Checking what a ledger gave out, by somebody who trusts neither the ledger nor its operator: pure Python, no network.

Imports the domain and nothing that has to be compiled, since the same code is the verifier in one file.
"""
