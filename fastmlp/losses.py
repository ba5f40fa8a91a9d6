"""Losses by name, and the output functions each of them can be used with.

With targets y and outputs a (sums over outputs and samples; articles M8 and A1):

=================  ===========================================  ===========================
``log_loss``       sum -y log(a) - (1 - y) log(1 - a)           sigmoid, softmax
``cross_entropy``  sum -y log(a)                                softmax
``squared_error``  sum (y - a)^2 / 2                            sigmoid, softmax, identity
=================  ===========================================  ===========================

The pairs sigmoid + log_loss, softmax + cross_entropy and identity + squared_error have the output
delta a - y, without any quotient.
"""

from __future__ import annotations

from fastmlp._checks import check_choice

ACTIVATIONS = ("sigmoid", "tanh", "relu", "identity")
OUTPUT_FUNCTIONS = ("sigmoid", "softmax", "identity")
LOSSES = ("log_loss", "cross_entropy", "squared_error")

NATURAL_LOSS = {"sigmoid": "log_loss", "softmax": "cross_entropy", "identity": "squared_error"}
"""The loss whose delta cancels, by output function."""

_REFUSED = {
    ("identity", "log_loss"): "log_loss needs outputs between 0 and 1: use 'sigmoid' or 'softmax'",
    ("identity", "cross_entropy"): "cross_entropy needs outputs that sum to 1: use 'softmax'",
    ("sigmoid", "cross_entropy"): (
        "cross_entropy needs outputs that sum to 1: use 'softmax', or 'log_loss' with 'sigmoid'"
    ),
}


def check_pair(output: str, loss: str) -> None:
    """Refuse an output function and a loss that do not make sense together, by name."""
    check_choice("output", output, OUTPUT_FUNCTIONS)
    check_choice("loss", loss, LOSSES)
    reason = _REFUSED.get((output, loss))
    if reason:
        raise ValueError(f"output {output!r} cannot be used with loss {loss!r}: {reason}")
