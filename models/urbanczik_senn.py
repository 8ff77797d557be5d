"""One neuron of a soma and a dendrite, whose dendritic synapses learn to predict the somatic potential.

Urbanczik and Senn (2014), Learning by the dendritic prediction of somatic spiking, doi:10.1016/j.neuron.2013.11.030,
figure 1. The parameters are those with which NEST reproduces that figure in standard units (its example
`urbanczik_synapse_example`, with the neuron `pp_cond_exp_mc_urbanczik` and the synapse `urbanczik_synapse`; code by
J. Stapmanns, J. Hahne, D. Dahmen).

    dendrite    C dV/dt = -g_L (V - E_L) + I          dI/dt = -I/tau_syn, a spike of input i adds w_i
    soma        C dU/dt = -g_L (U - E_L) + g_sp (V - U) + g_exc (E_exc - U) + g_inh (E_inh - U)
    spikes      S(t): rate phi(U), then dead for t_ref; the soma is not reset and the dendrite does not feel it
    prediction  V* = (g_L E_L + g_sp V)/(g_L + g_sp): what U would be without the teacher
    plasticity  tau_Delta d delta_i/dt = -delta_i + (S - phi(V*)) h(V*) psp_i,   dw_i/dt = rate delta_i
    phi(U) = phi_max/(1 + k exp(beta (theta - U))),   h = 15 mV phi'/phi,   psp_i the response of V to spikes of i

A pattern of input spikes is shown again and again while conductances at the soma, the teacher, pull U towards
(g_exc E_exc + g_inh E_inh)/(g_exc + g_inh). Set `neuron.teacher = 0` to let the dendrite drive the soma by itself, and
`synapses.rate = 0*pA*nS` to hold the weights.

parameter     value   unit    meaning                                               source
------------  ------  ------  ----------------------------------------------------  -----------------------------------
C                300  pF      capacitance of either compartment                     NEST example
G_L               30  nS      leak of either compartment                            NEST example
G_SP             600  nS      coupling from the dendrite to the soma                NEST example
E_L              -70  mV      resting potential                                     NEST example
E_EXC              0  mV      reversal potential of the teacher's excitation        NEST example
E_INH            -75  mV      and of its inhibition                                 NEST example
TAU_SYN            3  ms      decay of dendritic currents, somatic conductances     NEST example
T_REF              3  ms      dead time after a spike                               NEST example
PHI_MAX          150  Hz      maximal rate                                          NEST example
K                0.5  1       rate at theta is PHI_MAX/(1 + K)                      NEST example
BETA             1/3  1/mV    steepness of the rate                                 NEST example
THETA            -55  mV      where it rises                                        NEST example
UNIT              15  mV      what the paper's dimensionless potentials count in    NEST, source of the neuron
TAU_DELTA        100  ms      low-pass filter of the weight change                  NEST example
ETA             0.17  1       learning rate; in NEST's scaling times 15 C           NEST example
W_0               90  pA      initial weight: 0.3 C                                 NEST example
W_MAX           1350  pA      largest weight: 4.5 C; the smallest is 0              NEST example
N_INPUTS         200  cells   Poisson inputs, the same spikes in every pattern      NEST example
RATE              10  Hz      rate of an input                                      NEST example
PATTERN          200  ms      length of the pattern                                 NEST example
G_EXC_0          162  nS      mean of the teacher's excitation                      NEST example: 0.018 C, times 30
G_EXC_1          144  nS      amplitude of the sine on it                           NEST example: 0.016 C, times 30
G_INH            540  nS      the teacher's inhibition                              NEST example: 0.06 C, times 30
CYCLES             2  1       periods of the sine in a pattern                      NEST example
DT               0.1  ms      time step                                             NEST example

The factor 30 = TAU_SYN/DT: NEST makes the conductances from one spike per time step, each decaying with TAU_SYN.

Deviations from NEST: exponential Euler in place of an adaptive Runge-Kutta method; no transmission delay (one step
there). From the paper: standard units and the parameters above.
"""

from __future__ import annotations

import numpy as np
from brian2 import Hz, Network, NeuronGroup, SpikeGeneratorGroup, Synapses, ms, mV, nS, pA, pF

C = 300 * pF
G_L = 30 * nS
G_SP = 600 * nS
E_L = -70 * mV
E_EXC = 0 * mV
E_INH = -75 * mV
TAU_SYN = 3 * ms
T_REF = 3 * ms
PHI_MAX = 150 * Hz
K = 0.5
BETA = 1 / (3 * mV)
THETA = -55 * mV
UNIT = 15 * mV
TAU_DELTA = 100 * ms
ETA = 0.17
W_0 = 90 * pA
W_MAX = 1350 * pA
N_INPUTS = 200
RATE = 10 * Hz
PATTERN = 200 * ms
G_EXC_0 = 162 * nS
G_EXC_1 = 144 * nS
G_INH = 540 * nS
CYCLES = 2
DT = 0.1 * ms

NEURON = """
dU/dt = (G_L*(E_L - U) + G_SP*(V - U) + g_exc*(E_EXC - U) + g_inh*(E_INH - U))/C : volt          # soma
dV/dt = (G_L*(E_L - V) + I)/C                                                   : volt          # dendrite
dI/dt = -I/TAU_SYN                                                              : amp           # its input current
dg_exc/dt = (teacher*(G_EXC_0 + G_EXC_1*sin(2*pi*CYCLES*t/PATTERN)) - g_exc)/TAU_SYN : siemens
dg_inh/dt = (teacher*G_INH - g_inh)/TAU_SYN                                     : siemens
prediction = (G_L*E_L + G_SP*V)/(G_L + G_SP)                                    : volt          # V*
predicted_rate = PHI_MAX/(1 + K*exp(BETA*(THETA - prediction)))                 : Hz            # phi(V*)
h = UNIT*BETA/(1 + exp(BETA*(prediction - THETA))/K)                            : 1             # 15 mV phi'/phi at V*
teacher                                                                         : 1 (shared)    # 1 on, 0 off
"""

SYNAPSE = """
dslow/dt = -slow/TAU_L                                                          : 1 (clock-driven)   # psp is their difference
dfast/dt = -fast/TAU_SYN                                                        : 1 (clock-driven)
psp = (slow - fast)*TAU_SYN/(TAU_L - TAU_SYN)/G_L                               : ohm                # of 1 A
ddelta/dt = (-delta - rate*predicted_rate_post*h_post*psp)/TAU_DELTA            : amp/second (clock-driven)
dw/dt = delta                                                                   : amp (clock-driven)
rate                                                                            : amp*siemens (shared)
"""


def pattern(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the input spikes of one pattern: which input, and in which time step."""
    n_steps = round(float(PATTERN / DT))
    fires = np.random.default_rng(seed).random((n_steps, N_INPUTS)) < float(RATE * DT)
    step, index = np.nonzero(fires)
    return index, step


def matching_potential(t: np.ndarray) -> np.ndarray:
    """Return the potential, in V, towards which the teacher pulls the soma at the times `t`, in s."""
    exc = np.asarray(G_EXC_0 + G_EXC_1 * np.sin(2 * np.pi * CYCLES * t / float(PATTERN)))
    inh = float(G_INH)
    return (exc * float(E_EXC) + inh * float(E_INH)) / (exc + inh)


def network(seed: int = 0) -> Network:
    """Return the network: ``inputs``, ``neuron`` and ``synapses``, with the teacher on and the weights learning."""
    index, step = pattern(seed)
    names = ("C", "G_L", "G_SP", "E_L", "E_EXC", "E_INH", "TAU_SYN", "PHI_MAX", "K", "BETA", "THETA", "UNIT", "TAU_DELTA",
             "W_MAX", "PATTERN", "G_EXC_0", "G_EXC_1", "G_INH", "CYCLES")
    namespace = {name: globals()[name] for name in names} | {"TAU_L": C / G_L}
    inputs = SpikeGeneratorGroup(N_INPUTS, index, step * DT, period=PATTERN, dt=DT, name="inputs")
    neuron = NeuronGroup(
        1, NEURON, threshold="rand() < PHI_MAX/(1 + K*exp(BETA*(THETA - U)))*dt", refractory=T_REF,
        method="exponential_euler", namespace=namespace, dt=DT, name="neuron",
    )
    synapses = Synapses(
        inputs, neuron, SYNAPSE,
        on_pre="I_post += clip(w, 0*amp, W_MAX); slow += 1; fast += 1",
        on_post="delta += rate*h_post*psp/TAU_DELTA",
        method="exponential_euler", namespace=namespace, dt=DT, name="synapses",
    )
    synapses.connect()
    neuron.U = neuron.V = E_L
    neuron.teacher = 1
    synapses.w = W_0
    synapses.rate = ETA * 15 * (C / pF) * pA * nS
    return Network(inputs, neuron, synapses)
