"""A circuit, a rule and a schedule as plain Brian2 objects, and a model that lives schedules.

Three ways in, from the smallest to the largest:

* `cell_group` and `synapse_group` make the cells and the plastic synapses for a network of your own;
* `build` makes all of them for a `Circuit`, with weights and parameters set;
* `model` gives something that lives whole schedules: a program compiled by Brian2's C++ standalone mode and kept
  for the next call, or the same network in runtime mode where there is no compiler.

`bioplastic.compiled` compiles and runs any other network in the same way.
"""

from bioplastic.spiking.groups import broadcast_group, cell_group, synapse_group
from bioplastic.spiking.health import ActivityError
from bioplastic.spiking.models import Model, model
from bioplastic.spiking.network import SpikingCircuit, build, connections, flat, unflat
from bioplastic.spiking.spec import ModelSpec

__all__ = [
    "ActivityError",
    "Model",
    "ModelSpec",
    "SpikingCircuit",
    "broadcast_group",
    "build",
    "cell_group",
    "connections",
    "flat",
    "model",
    "synapse_group",
    "unflat",
]
