"""What is changed in the C++ code and the makefile that Brian2 generates, so that programs are fast and build fast.

A patch looks for a text. Where Brian2 has come to write another one, the patch fails rather than do nothing. None of
them changes a number. Tried on the code of Brian2 2.9, 2.10 and 2.11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import brian2

from bioplastic.compiled.toolchain import CompilationError

PRECOMPILED = "cmath ctime chrono iostream fstream climits random vector map set algorithm tuple string cstdlib"
"""Headers that each of some forty source files includes; parsing them once takes a build from 30 to 12 s."""


@dataclass(frozen=True)
class Patch:
    """One change of one generated file.

    Attributes
    ----------
    name : str
        What it does, for the error.
    file : str
        Its path in the folder of generated code.
    variants : tuple of (str, str)
        Regular expression and replacement, for each way in which Brian2 has written it; one of them is there, once.
    """

    name: str
    file: str
    variants: tuple[tuple[str, str], ...]

    def apply(self, source: str) -> str:
        """Return the source with the change.

        Parameters
        ----------
        source : str
            Of the file.

        Raises
        ------
        CompilationError
            The text that is to be changed is not there.
        """
        for old, new in self.variants:
            changed, count = re.subn(old, new, source, flags=re.DOTALL)
            if count == 1:
                return changed
        raise CompilationError(
            f"the patch {self.name!r} does not fit {self.file} as Brian2 {brian2.__version__} generates it; install a "
            "Brian2 from 2.9 to 2.11, or run the network in runtime mode."
        )


CLOCKS = Patch(
    "clocks compared by their time",  # Brian2 looks each object's clock up in a set, at every step
    "network.cpp",
    (
        (
            re.escape("curclocks.find(obj_clock) != curclocks.end()"),
            "fabs(obj_clock->t[0] - t) <= Clock_epsilon",  # what ticks now is what has the present time
        ),
    ),
)
QUEUES = Patch(
    "queues read in place",  # Brian2 copies the queue of each synapse at every step: a sixth of the time
    "synapses_classes.h",
    # The copy joins the queues of several threads, and there is one.
    ((r"(vector<int32_t>\* peek\(\)\s*\{).*?return &all_peek;", r"\1\n\t\treturn queue[0]->peek();"),),
)
DEPENDENCIES = Patch(
    "no list of who includes whom",  # which matters only when something is built again
    "makefile",
    (
        (re.escape("$(CXX) $(CXXFLAGS) -MM $(SRCS) > make.deps"), "touch make.deps"),  # 2.9, 2.10
        (re.escape(" -MMD -MP -MF $(@:.o=.d) -MT $@"), ""),  # 2.11
    ),
)
HEADER = Patch(
    "precompiled header",
    "makefile",
    (
        (
            re.escape("%.o : %.cpp makefile\n\t$(CXX) $(CXXFLAGS) "),
            "precompiled.h.gch : precompiled.h\n"
            "\t$(CXX) $(CXXFLAGS) -x c++-header precompiled.h -o precompiled.h.gch\n\n"
            "%.o : %.cpp makefile precompiled.h.gch\n"
            "\t$(CXX) $(CXXFLAGS) -include precompiled.h ",
        ),
    ),
)
PATCHES = (CLOCKS, QUEUES, DEPENDENCIES, HEADER)


def patch(folder: Path) -> None:
    """Change generated code, before it is compiled.

    Parameters
    ----------
    folder : Path
        Of the code.

    Raises
    ------
    CompilationError
        One of the `PATCHES` does not fit.
    """
    for each in PATCHES:
        path = folder / each.file
        path.write_text(each.apply(path.read_text()))
    (folder / "precompiled.h").write_text("".join(f"#include <{name}>\n" for name in PRECOMPILED.split()))
