"""Packages that the offline verifier carries under the names of packages written in C (ADR 0021).

Inside the verifier's file they stand at the top: ``standin/msgspec`` is ``msgspec`` there. Nothing else imports them.
"""
