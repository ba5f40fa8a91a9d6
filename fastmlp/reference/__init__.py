"""The mathematics of an MLP in plain NumPy: readable, and the reference for the tests.

``functions`` has the activation functions, ``losses`` the losses, ``propagation`` forward and back
propagation in the layout of the articles, ``updates`` the optimizers; ``engine`` combines them into
epochs, with the interface of the native engine.
"""

from fastmlp._types import Array as Array
from fastmlp.engine.rows import Inputs as Inputs
from fastmlp.reference.functions import DERIVATIVES as DERIVATIVES
from fastmlp.reference.functions import FUNCTIONS as FUNCTIONS
from fastmlp.reference.functions import LEAKY_SLOPE as LEAKY_SLOPE
from fastmlp.reference.functions import SELU_ALPHA as SELU_ALPHA
from fastmlp.reference.functions import SELU_SCALE as SELU_SCALE
from fastmlp.reference.functions import elu as elu
from fastmlp.reference.functions import gelu as gelu
from fastmlp.reference.functions import identity as identity
from fastmlp.reference.functions import increasing as increasing
from fastmlp.reference.functions import leaky_relu as leaky_relu
from fastmlp.reference.functions import relu as relu
from fastmlp.reference.functions import selu as selu
from fastmlp.reference.functions import sigmoid as sigmoid
from fastmlp.reference.functions import silu as silu
from fastmlp.reference.functions import softmax as softmax
from fastmlp.reference.functions import softplus as softplus
from fastmlp.reference.losses import COSTS as COSTS
from fastmlp.reference.losses import DIFFERENCE_COSTS as DIFFERENCE_COSTS
from fastmlp.reference.losses import DIFFERENCE_DERIVATIVES as DIFFERENCE_DERIVATIVES
from fastmlp.reference.losses import cost as cost
from fastmlp.reference.losses import cross_entropy as cross_entropy
from fastmlp.reference.losses import difference_cost as difference_cost
from fastmlp.reference.losses import difference_derivative as difference_derivative
from fastmlp.reference.losses import gamma as gamma
from fastmlp.reference.losses import log_loss as log_loss
from fastmlp.reference.losses import output_delta as output_delta
from fastmlp.reference.losses import output_derivative as output_derivative
from fastmlp.reference.losses import poisson as poisson
from fastmlp.reference.losses import squared_error as squared_error
from fastmlp.reference.losses import through_output as through_output
from fastmlp.reference.propagation import BIAS_TREATMENTS as BIAS_TREATMENTS
from fastmlp.reference.propagation import VERSIONS as VERSIONS
from fastmlp.reference.propagation import BiasTreatment as BiasTreatment
from fastmlp.reference.propagation import Masks as Masks
from fastmlp.reference.propagation import Version as Version
from fastmlp.reference.propagation import add_bias_row as add_bias_row
from fastmlp.reference.propagation import backward as backward
from fastmlp.reference.propagation import forward as forward
from fastmlp.reference.propagation import input_layer as input_layer
from fastmlp.reference.propagation import layer_delta as layer_delta
from fastmlp.reference.propagation import layer_derivative as layer_derivative
from fastmlp.reference.updates import LAYER_KEY as LAYER_KEY
from fastmlp.reference.updates import adam_update as adam_update
from fastmlp.reference.updates import apply_optimizer as apply_optimizer
from fastmlp.reference.updates import clip as clip
from fastmlp.reference.updates import dropout_mask as dropout_mask
from fastmlp.reference.updates import penalty as penalty
from fastmlp.reference.updates import penalty_gradient as penalty_gradient
from fastmlp.reference.updates import rmsprop_update as rmsprop_update
from fastmlp.reference.updates import update as update
