"""What each plastic weight's update depends on, in hops: from the equations, by experiment, and by autograd.

Brian2 lets any code read anything. Three independent looks at whether an update is screened by its neighbours:

* `audit` reads the equations of any Brian2 network and builds the graph of who reads whom;
* `isolate` runs one population alone on a recording of what its neighbours sent, and `perturb` changes something far
  away while the neighbours are held; both compare weights bit for bit;
* `audit_twin` differentiates an update of the torch twin.

`docs/audit.md` says what they can show, and what not.
"""

from bioplastic.auditing.autograd import TwinReport, TwinWeight, audit_twin
from bioplastic.auditing.equations import EVENT, audit
from bioplastic.auditing.experiments import Experiment, isolate, perturb
from bioplastic.auditing.report import (
    AT_ONCE,
    NEIGHBOUR_ONLY,
    NO_SPIKE,
    NO_SYNAPSE,
    OPAQUE,
    SHORTCUT,
    UNRESOLVED,
    VERDICTS,
    AuditError,
    Finding,
    Link,
    Modulator,
    PlasticWeight,
    Report,
    Route,
)
from bioplastic.relays import declare_relay

__all__ = [
    "AT_ONCE",
    "EVENT",
    "NEIGHBOUR_ONLY",
    "NO_SPIKE",
    "NO_SYNAPSE",
    "OPAQUE",
    "SHORTCUT",
    "UNRESOLVED",
    "VERDICTS",
    "AuditError",
    "Experiment",
    "Finding",
    "Link",
    "Modulator",
    "PlasticWeight",
    "Report",
    "Route",
    "TwinReport",
    "TwinWeight",
    "audit",
    "audit_twin",
    "declare_relay",
    "isolate",
    "perturb",
]
