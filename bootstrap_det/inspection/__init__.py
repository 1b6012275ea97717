"""The imbalances of a data set: measured, drawn, and what would mend them."""

from bootstrap_det.inspection.advice import DATA, Advice
from bootstrap_det.inspection.figures import outlier_sheet, write_figures
from bootstrap_det.inspection.measure import Inspection, inspect_dataset
from bootstrap_det.inspection.outliers import RULES, Outlier
from bootstrap_det.inspection.text import report_lines, report_sections

__all__ = [
    "DATA",
    "RULES",
    "Advice",
    "Inspection",
    "Outlier",
    "inspect_dataset",
    "outlier_sheet",
    "report_lines",
    "report_sections",
    "write_figures",
]
