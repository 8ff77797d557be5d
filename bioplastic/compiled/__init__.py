"""Any Brian2 network to a program: compiled in Brian2's C++ standalone mode, kept, and run many times.

* `bioplastic.compiled.build`: `compile_network` makes the program of a `Program`, or finds it in the cache;
* `bioplastic.compiled.run`: `run_binary` runs it from values of its own, several at once;
* `bioplastic.compiled.stop`: `stop_if`, by which a network ends its own run;
* `bioplastic.compiled.patches`: what is changed in the code that Brian2 generates, to be faster;
* `bioplastic.compiled.toolchain`: the compiler, and what is said where there is none.
"""
