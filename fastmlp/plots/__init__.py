"""Figures of training runs and predictions; these need the extra ``plots``."""

from fastmlp.plots.decisions import decision_surface as decision_surface
from fastmlp.plots.decisions import decision_surface_3d as decision_surface_3d
from fastmlp.plots.images import plot_confusion_matrix as plot_confusion_matrix
from fastmlp.plots.images import plot_misclassified as plot_misclassified
from fastmlp.plots.runs import plot_accuracy as plot_accuracy
from fastmlp.plots.runs import plot_costs as plot_costs
from fastmlp.plots.runs import plot_errors as plot_errors
from fastmlp.plots.runs import plot_reg_share as plot_reg_share
from fastmlp.plots.runs import plot_run as plot_run
from fastmlp.plots.searches import plot_search as plot_search
