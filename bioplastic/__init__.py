"""Bioplastic: how many hops upstream a change reaches, in spikes and in backprop."""

__version__ = "0.1.0"
