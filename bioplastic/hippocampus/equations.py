"""Equations and constants of attention, index layer and ripples; what they do is told in the package's docstring."""

from __future__ import annotations

from brian2 import Hz, ms, second

from bioplastic.cells import JUMP
from bioplastic.chance import draw, uniform

CONTROL_STEP = 5 * ms
"""Time step of salience cell, gates, ripples and index, to save time: from one spike of a ripple to the next. Attention
cells have that of the cells."""
CONTROL_RATE = 100 * Hz
"""At which the salience cell and the gates fire while they are on."""
BURST_RATE = 200 * Hz
"""At which index cells fire in a ripple: the ripple band of the rat is 150 to 200 Hz (Buzsaki 2015)."""
TAU_LOOP = 10 * ms
"""Of what attention cells hear of index cells: shorter than the shortest ripple, so that a ripple fills the loop."""
TAU_GATE = 10 * ms
TAU_RECALLED = 30 * ms
"""Of what target cells hear of attention cells: about the interval between spikes, so that the drive is smooth."""
TAU_CUE = 1 * second
OPEN = 0.25
"""Trace of its spikes, each of which sets it to 1, above which a gate counts as open: 14 ms after the last one."""
SETTLING = 5 * ms
"""From winning the race to writing; assemblies that were a fraction of a step slower have dropped out by then."""
RACE = 20 * ms
"""Length of the race at the beginning of a ripple."""
HAZARD = 3.0
"""Of the strongest memory in that race: it fires with probability 1 - exp(-3), 95 %, so that few ripples are empty."""
EAGERNESS = 0.5
"""By how much a memory of strength 1 slows its assembly in the race for a plateau: the weakest wins."""
RECALL_EVIDENCE = 0.6
"""Evidence per cell at which a memory is recalled by a cue, in spikes."""
SILENT = 0.05
"""Level below which an attention cell says nothing of a cue: it has not been shown, which is not the same as 0."""
MARGIN = 100 * ms
"""Silence after a reactivation before the next can begin."""

NEVER = 1e9 * second
"""Interval between reactivations where there are none; compiled programs cannot be given infinity."""

RECALL_EQUATIONS = """
recalled : 1   # trace of the attention cell's spikes
opened : 1     # trace of its gate's spikes: over how long the former has added up
gated : 1      # the same, faster: whether the gate is open
present : 1    # 1 while the outside world drives the cell: then memory does not
"""
"""What cells need that are to be targets, beside `rmax` in their namespace."""
# Not differential equations, which would cost as much for all other cells of the group.
FADE = f"""
recalled = recalled*exp(-dt/({TAU_RECALLED / ms}*ms))
opened = opened*exp(-dt/({TAU_RECALLED / ms}*ms))
gated = gated*exp(-dt/({TAU_GATE / ms}*ms))
"""
HELD = f"(1 - present)*int(gated > {OPEN})"
"""Whether memory drives the soma of such a cell,"""
RECALLED = "recalled/(opened + 1e-9)"
"""and its rate then: unbiased from the first spikes on."""
DRIVE = f"""
target = present*target + {HELD}*{RECALLED}
clamp = clip(1 - predicts + present + {HELD}, 0, 1)
"""
"""How memory drives two-dendrite cells."""

ATTENTION = """
level : 1                            # what its partner did when the world last drove it, or index cells say
gap : second                         # time since the partner's last spike that the world drove
dgate/dt = -gate/tau_gate : 1
drecalled/dt = -recalled/tau_loop : 1    # spikes of index cells, weighted
ddriven/dt = -driven/tau_loop : 1        # and counted
delig/dt = -elig/tau_elig : 1            # own spikes of the last seconds: what a plateau finds
P : 1
"""
ATTENTION_STEP = f"""
gap += dt
held = int(gate > {OPEN})
by_index = int(driven > 0.05)
level = by_index*recalled/(driven + 1e-9) + (1 - by_index)*(held*level + (1 - held)*clip(level, 0, 1/(rmax*gap)))
P += held*level*rmax*dt
"""
ATTENTION_RESET = f"""
P -= 1
elig += {JUMP.format(tau="tau_elig")}
"""
HEAR = """
level_post += present_pre*(1/(rmax*gap_post) - level_post)
gap_post = gap_post*(1 - present_pre)
"""
SALIENCE = """
S : second                     # for how long the event will still be held
importance : 1                 # of the event, given from outside
listening : 1                  # 1 while a stimulus is shown whose outcome is yet to come: it drives out the old event
lit : 1
P : 1
"""
SALIENCE_STEP = """
S = clip(S - dt, 0*second, longest_hold)*(1 - listening)
lit = int(S > ignition*(1 - lit))
P = lit*(P + control_rate*dt) + (1 - lit)*0.5
"""
GATES = """
T : second                     # for how long it is still open
hold : second                  # for how long a ripple opens it
P : 1
"""
GATES_STEP = """
T = clip(T - dt, 0*second, inf*second)
P = int(T > 0*second)*(P + control_rate*dt) + int(T <= 0*second)
"""
RIPPLES = """
wait : second                  # rest until the next reactivation
interval : second              # mean of it; NEVER for no replay
resting : 1                    # 1 while the network rests, given from outside
span : second                  # length of a reactivation
die : 1                        # random number, see bioplastic.chance
dalert/dt = -alert/tau_gate : 1
"""
RIPPLES_STEP = f"wait -= dt*resting*int(alert < {OPEN})"
INDEX = """
dstrength/dt = -strength/tau_fade : 1   # of the memory: the weakest is overwritten
dtag/dt = -tag/tau_tag : 1              # for how long the event was held: how likely it is replayed
dtired/dt = -tired/tau_tired : 1        # inhibition of return
dalert/dt = -alert/tau_gate : 1         # whether the salience cell fires: then write, do not recall
dnorm/dt = -norm/tau_elig : 1           # its spikes of the last seconds
dcue/dt = -cue/tau_cue : 1              # evidence that this memory is cued
u : 1                                   # progress in a race
racing : second                         # time left in the race of a ripple
won : 1                                 # how far beyond the line it was; 0 unless its assembly is the active one
rival : 1                               # the same of another assembly that has just got there
mate : 1                                # the same of a cell of its own
quiet : second                          # for how long it is inhibited
plateau : 1
age : second                            # of the plateau
fresh : 1                               # 1 until the plateau has written
since : second                          # age of the reactivation
ripple : second                         # length of its ripple
onset : second                          # when that comes: as its target in the event
bursting : 1
P : 1
die : 1                                 # random number, see bioplastic.chance
span : second (shared)                  # length of a reactivation
head_start : 1 (constant)               # makes the race for a plateau unequal where memories are equally weak
evidence : 1 (constant)                 # for the memory, of one spike of one cell
assembly : integer (constant)
"""
INDEX_STEP = f"""
held = int(alert > {OPEN})
loses = int(rival > won)*int(rival > mate)
joins = int(mate > rival)*int(won <= 0)
quiet = clip(clip(quiet - dt*(1 - held), 0*second, inf*second), loses*span, inf*second)
plateau = plateau*held*(1 - loses)
since = since + dt + loses*span
won = won*(1 - loses)*clip(plateau + int(since < span), 0, 1)
free = int(quiet <= 0*second)*int(won <= 0)
started = int(racing > 0*second)*(1 - held)
racing = clip(racing - dt, 0*second, inf*second)
u = free*(u + dt*held*(1 + head_start)/(plateau_latency*(1 + eagerness*strength)) + started*dt/race)*(held + started)
u = u + joins*(mate - u)
cue = cue*free*(1 - held)
rival = 0
mate = 0
age += dt
bursting = int(since >= onset)*int(since < onset + ripple)*(1 - held)
P = bursting*(P + burst_rate*dt) + 1 - bursting
"""
INDEX_EVENTS = {
    "ignition": "u >= 1 or cue >= 1",
    "write": "plateau > 0 and fresh > 0 and age > settling",
}
ON_IGNITION = f"""
writes = int(alert > {OPEN})
won = clip(u, cue, inf)
plateau = writes
fresh = writes
age = 0*second
since = writes*span
{draw("die")}
ripple = shortest_ripple + {uniform("die")}*(longest_ripple - shortest_ripple)
strength = strength + (1 - writes)*restore*(1 - strength)
tired = tired + (1 - writes)*(1 - tired)
u = 0
cue = 0
"""
ON_WRITE = """
fresh = 0
tag = 0
strength = 1
tired = 0
"""
RACE_FOR_RIPPLE = f"""
{draw("die_post")}
u_post = 1 + log({uniform("die_post")})/(hazard*tag_post*strength_post*(1 - tired_post) + 1e-9)
racing_post = race
"""
COMPETE = """
rival_post = clip(rival_post, int(assembly_pre != assembly_post)*won_pre, inf)
mate_post = clip(mate_post, int(assembly_pre == assembly_post)*won_pre, inf)
"""
NEXT_RIPPLE = f"""
{draw("die")}
wait = span - log({uniform("die")})*(interval - span)
"""
SURPRISE = "S_post += importance_post*{worth}*present_pre*hold_per_error"
TELL = f"""
alert_post = 1
norm_post += {JUMP.format(tau="tau_elig").replace("rmax", "control_rate")}
tag_post += plateau_post*(1 - fresh_post)*tag_step*(1 - tag_post)
"""
REOPEN = "T_post = int(T_post > 0*second)*T_post + int(T_post <= 0*second)*hold_post"
ADD_UP = f"recalled_post += {JUMP.format(tau='tau_recalled')}"
CLAMP = f"""
gated_post = 1
opened_post += {JUMP.format(tau="tau_recalled").replace("rmax", "control_rate")}
"""
MEMORY = {
    "on_pre": {
        "reinstate": "recalled_post += w\ndriven_post += 1",
        "write": "w = clip(elig_post/(norm_pre + 1e-9), 0, 1)",
    },
    "on_post": {"match": f"cue_pre += evidence_pre*int(level_post > {SILENT})*(w - 0.5*w**2/(level_post + 1e-3))"},
    "on_event": {"reinstate": "spike", "write": "write", "match": "spike"},
}
