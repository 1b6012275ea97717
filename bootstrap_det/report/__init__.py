"""A run as one page: everything a run folder holds, for people, in one file without a network."""

from bootstrap_det.report.compare import write_runs_page
from bootstrap_det.report.folder import Run, read_run
from bootstrap_det.report.pages import write_inspection_page, write_strategies_page
from bootstrap_det.report.peers import Peer, read_peer
from bootstrap_det.report.run_page import MAX_BYTES, NAME, write_report

__all__ = [
    "MAX_BYTES",
    "NAME",
    "Peer",
    "Run",
    "read_peer",
    "read_run",
    "write_inspection_page",
    "write_report",
    "write_runs_page",
    "write_strategies_page",
]
