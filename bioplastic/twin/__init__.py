"""The rate twin in torch: same circuit, weights and events as in spikes, many networks in one program.

Its learners are backprop and, at the level of rates, local rules: predictive coding and Latent Equilibrium. A rule says
in its own file what every population's error is (`bioplastic.rules.twin_form`); the learning step is the same for all.
"""

from bioplastic.twin.living import live
from bioplastic.twin.networks import F_I_CURVE, Activation, Networks, gradient, predict
from bioplastic.twin.pretraining import Pretraining, pretrain, pretrained
from bioplastic.twin.threads import one_thread

__all__ = [
    "F_I_CURVE",
    "Activation",
    "Networks",
    "Pretraining",
    "gradient",
    "live",
    "one_thread",
    "predict",
    "pretrain",
    "pretrained",
]
