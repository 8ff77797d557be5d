# The public names, one a line. Type checkers read them here, and so does `__init__.py`, which imports each of them when
# it is first asked for. A module stands under another name than its own at the end.

import bioplastic.plots
from bioplastic.auditing.equations import audit as audit
from bioplastic.circuit import Circuit as Circuit
from bioplastic.circuit import Feedback as Feedback
from bioplastic.circuit import Population as Population
from bioplastic.circuit import Projection as Projection
from bioplastic.circuit import Weights as Weights
from bioplastic.comparison import compare as compare
from bioplastic.events import Event as Event
from bioplastic.events import Kind as Kind
from bioplastic.events import Schedule as Schedule
from bioplastic.events import Timing as Timing
from bioplastic.events import random_life as random_life
from bioplastic.living import Lives as Lives
from bioplastic.living import live as live
from bioplastic.living import pretrain as pretrain
from bioplastic.recording.labelled import labelled as labelled
from bioplastic.recording.reader import read as read
from bioplastic.rules.backprop import Backprop as Backprop
from bioplastic.rules.broadcast import Broadcast as Broadcast
from bioplastic.rules.equilibrium_relay import EquilibriumRelay as EquilibriumRelay
from bioplastic.rules.error_relay import ErrorRelay as ErrorRelay
from bioplastic.rules.latent_equilibrium import LatentEquilibrium as LatentEquilibrium
from bioplastic.rules.learned_feedback import LearnedFeedback as LearnedFeedback
from bioplastic.rules.predictive_coding import PredictiveCoding as PredictiveCoding
from bioplastic.rules.radius_relay import RadiusRelay as RadiusRelay
from bioplastic.study.learner import Learner as Learner
from bioplastic.study.reach_study import ReachSettings as ReachSettings
from bioplastic.study.reach_study import reach_study as reach_study
from bioplastic.study.study import Study as Study
from bioplastic.tasks import Task as Task
from bioplastic.tasks import digits as digits
from bioplastic.tasks import random_patterns as random_patterns

plot = bioplastic.plots

__version__: str
