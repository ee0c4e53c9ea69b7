"""The offline verifier: one file for an auditor, who needs nothing but Python (ADR 0021)."""
