"""Replay beyond one machine: the fast kernel inside Apache Spark (port ``application.ports.engine``; docs/SCALING.md).

Nothing here loads ``pyspark`` before it is asked to work: it is an extra, ``carbon-ledger[spark]``.
"""

from __future__ import annotations

from infrastructure.spark.engine import SparkEngine

__all__ = ["SparkEngine"]
