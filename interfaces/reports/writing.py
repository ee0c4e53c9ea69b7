"""A report's three files together.

Keeps: report.json is byte for byte what the digest is taken of; the other two are made from it.
"""

from __future__ import annotations

from typing import Any

from application.impact import canonical, digest_of
from application.revising import Planned
from interfaces.reports.comparison_page import comparison_page
from interfaces.reports.csv_rows import comparison_csv, plan_csv
from interfaces.reports.folder import ReportFolder
from interfaces.reports.plan_page import Recorded, plan_page


def write_plan(folder: ReportFolder, planned: Planned) -> list[str]:
    """The report of a plan or dry run; returns the names of the files."""
    report, digest = planned.report, planned.plan_digest
    recorded = Recorded(planned.revision_id, planned.position) if planned.revision_id else None
    return folder.write(canonical(report), plan_csv(report, digest), plan_page(report, digest, recorded))


def write_comparison(folder: ReportFolder, comparison: dict[str, Any]) -> list[str]:
    """The report of a comparison."""
    digest = digest_of(comparison)
    return folder.write(canonical(comparison), comparison_csv(comparison, digest), comparison_page(comparison, digest))
