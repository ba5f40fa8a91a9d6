"""Activation maps of a CNN, and input patterns that maximize them."""

from fastmlp.cnn.maps.activations import activation_maps as activation_maps
from fastmlp.cnn.maps.activations import class_activations as class_activations
from fastmlp.cnn.maps.activations import filters as filters
from fastmlp.cnn.maps.activations import layer_output as layer_output
from fastmlp.cnn.maps.fields import plot_receptive_fields as plot_receptive_fields
from fastmlp.cnn.maps.matching import Matching as Matching
from fastmlp.cnn.maps.matching import match_maps as match_maps
from fastmlp.cnn.maps.oip import OIP as OIP
from fastmlp.cnn.maps.oip import Ascent as Ascent
from fastmlp.cnn.maps.oip import find_oip as find_oip
from fastmlp.cnn.maps.oip import find_oips as find_oips
from fastmlp.cnn.maps.oip import format_oips as format_oips
from fastmlp.cnn.maps.oip import mean_activations as mean_activations
from fastmlp.cnn.maps.oip import refine as refine
from fastmlp.cnn.maps.plots import plot_activation_maps as plot_activation_maps
from fastmlp.cnn.maps.plots import plot_class_activations as plot_class_activations
from fastmlp.cnn.maps.plots import plot_filters as plot_filters
from fastmlp.cnn.maps.plots import plot_matching as plot_matching
from fastmlp.cnn.maps.plots import plot_oip as plot_oip
from fastmlp.cnn.maps.plots import plot_oips as plot_oips
from fastmlp.cnn.maps.plots import plot_receptive_field as plot_receptive_field
from fastmlp.cnn.maps.plots import plot_refinement as plot_refinement
