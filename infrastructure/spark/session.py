"""A Spark session for one piece of work, and what is needed for one.

Keeps: ``pyspark`` and Java are asked for only when Spark is, and what is missing is said with its remedy; a session is
stopped whatever happens; on one machine nothing listens beyond loopback. Whatever else a cluster needs comes from
Spark's own configuration (``spark-defaults.conf``), which knows more about it than we do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import domain
from domain.errors import Unavailable

JAVA: Final = 17
_CONFIGURATION: Final = {
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
}
_LOOPBACK: Final = "127.0.0.1"
_ON_ONE_MACHINE: Final = {
    "spark.driver.host": _LOOPBACK,
    "spark.driver.bindAddress": _LOOPBACK,
    "spark.ui.enabled": "false",
}


@contextmanager
def spark_session(master: str) -> Iterator[Any]:
    """A session on a Spark master, by its URL.

    Raises Unavailable ``spark_missing`` and, also for whatever fails inside, ``spark_failed``.
    """
    sql = _pyspark("pyspark.sql")
    failures = (_pyspark("py4j.protocol").Py4JError, _pyspark("pyspark.errors").PySparkException, OSError)
    configuration, environment = dict(_CONFIGURATION), dict[str, str]()
    if master.startswith("local"):
        # Workers on this machine are this interpreter, with these sources.
        here = str(Path(str(domain.__file__)).parents[1])
        configuration |= {**_ON_ONE_MACHINE, "spark.executorEnv.PYTHONPATH": here}
        environment = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": _LOOPBACK}
    builder = sql.SparkSession.builder.appName("carbon-ledger replay").master(master)
    for name, value in configuration.items():
        builder = builder.config(name, value)
    with _environment(environment):
        try:
            session = builder.getOrCreate()
            try:
                yield session
            finally:
                session.stop()
        except failures as error:
            raise Unavailable(
                "spark_failed",
                told(str(error)),
                field=master,
                remedy="what Spark wrote above says more; docs/SCALING.md says what its workers need",
            ) from error


def storage_on_disk() -> Any:
    """Results stay on the disks of the machines that made them."""
    return _pyspark("pyspark").StorageLevel.DISK_ONLY


def check_installed() -> None:
    """Raises Unavailable ``spark_missing``, ``java_missing``."""
    for module in ("pyspark", "pandas"):
        _pyspark(module)
    found = java_version()
    if found < JAVA:
        raise Unavailable(
            "java_missing",
            f"Spark needs Java {JAVA} or newer, " + (f"this is Java {found}" if found else "there is none"),
            remedy=f"install a Java {JAVA} runtime and put `java` on PATH or name its folder in JAVA_HOME",
        )


def java_version() -> int:
    """The release of Java that Spark would start, 0 without one."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        return 0
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', ran.stderr + ran.stdout)
    return int(found.group(1)) if found else 0


def told(text: str) -> str:
    """The line of a failure that says what happened: of a worker's traceback the last, else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Unavailable|Corrupt): ", line)]
    return (raised[-1] if raised and "Traceback" in text else lines[0] if lines else "no reason given")[:500]


def _pyspark(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise Unavailable(
            "spark_missing",
            f"{error.name or 'pyspark'} is not installed",
            remedy='pip install "carbon-ledger[spark]"',
        ) from error


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What Spark reads from nowhere else; what is set there already is kept."""
    ours = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
