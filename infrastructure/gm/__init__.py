"""The commercial cryptography of China (国密): SM2, SM3, SM4 behind the ports of the application (ADR 0015)."""
