"""What people look at: tables, figures, the HTML page and aggregate TensorBoard runs, from records alone."""

from rl_transfer.report.write import ReportPaths, write_report

__all__ = ["ReportPaths", "write_report"]
