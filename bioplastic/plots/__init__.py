"""Figures: readable in grey and without colour vision, on a page 180 mm wide, and shown by a notebook.

A panel takes an xarray dataset and, as `ax`, where to draw it, and returns its Axes; a page takes a recording and
returns a Figure. Without `ax` a panel gets a figure of its own, with a legend. pyplot is never imported.
"""

from bioplastic.plots.arrival import arrival_by_hop
from bioplastic.plots.axes import LogRange, axis_label, hop_axis, log_ticks, reference
from bioplastic.plots.by_frequency import reach_by_frequency
from bioplastic.plots.by_hop import change_by_hop, profile_by_hop
from bioplastic.plots.cascade import cascade_figure, latency_by_hop, mismatch_by_hop
from bioplastic.plots.curves import band, curve, learner_curves, learner_rows, on_top, points, shifted, symbols
from bioplastic.plots.files import save
from bioplastic.plots.fronts import front, front_figure
from bioplastic.plots.legends import handle, legend_above, legend_alone, open_symbol, shade, small_legend
from bioplastic.plots.pages import heading, letter, letters, note, nothing, over_seeds, page, panel
from bioplastic.plots.reach import reach_figure
from bioplastic.plots.style import DOTTED, GREY, MM, WIDTH, ZERO, Style, looks, styles
from bioplastic.plots.survival import survival_curve
from bioplastic.plots.transfer import accuracy_matrix, by_learner, kept_by_learned

__all__ = [
    "DOTTED",
    "GREY",
    "MM",
    "WIDTH",
    "ZERO",
    "LogRange",
    "Style",
    "accuracy_matrix",
    "arrival_by_hop",
    "axis_label",
    "band",
    "by_learner",
    "cascade_figure",
    "change_by_hop",
    "curve",
    "front",
    "front_figure",
    "handle",
    "heading",
    "hop_axis",
    "kept_by_learned",
    "latency_by_hop",
    "learner_curves",
    "learner_rows",
    "legend_above",
    "legend_alone",
    "letter",
    "letters",
    "log_ticks",
    "looks",
    "mismatch_by_hop",
    "note",
    "nothing",
    "on_top",
    "open_symbol",
    "over_seeds",
    "page",
    "panel",
    "points",
    "profile_by_hop",
    "reach_by_frequency",
    "reach_figure",
    "reference",
    "save",
    "shade",
    "shifted",
    "small_legend",
    "styles",
    "survival_curve",
    "symbols",
]
