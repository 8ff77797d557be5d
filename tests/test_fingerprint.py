"""What a result is made of: which code counts, and which does not."""

import shutil
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest

from bioplastic import fingerprint

HELPER = '''
"""A module."""

SCALE = 2.0
"""Doubles."""


def scaled(x):
    """Scale."""
    return SCALE * x


def drawn(x):
    return x, "red"
'''
SCRIPT = """
import helper
from helper import drawn


def middle(x):
    from helper import scaled as by

    return by(x)


def measure(x):
    # a remark
    return middle(x) + 1


def figure(x):
    return drawn(helper.scaled(x))
"""


def code_of(folder: Path, roots: str = "script.measure", **sources: str) -> str:
    """`code_of` some functions of a script in a fresh process, so that nothing is remembered."""
    for name, text in ({"helper": HELPER, "script": SCRIPT} | sources).items():
        folder.joinpath(f"{name}.py").write_text(textwrap.dedent(text))
    code = f"import script, helper; from bioplastic.fingerprint import code_of; print(code_of({roots}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("a docstring", {"helper": HELPER.replace('"""Scale."""', '"""Make larger."""')}),
        ("the docstring of a constant", {"helper": HELPER.replace("Doubles", "Twice")}),
        ("a comment and white space", {"script": SCRIPT.replace("# a remark", "# another one\n")}),
        ("a figure", {"script": SCRIPT.replace("drawn(helper.scaled(x))", "drawn(x)")}),
        ("what only a figure names", {"helper": HELPER.replace("red", "blue")}),
    ],
)
def test_what_does_not_count(tmp_path, what, changed):
    assert code_of(tmp_path, **changed) == code_of(tmp_path), what


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("the function itself", {"script": SCRIPT.replace("+ 1", "+ 2")}),
        ("what it calls", {"script": SCRIPT.replace("return by(x)", "return -by(x)")}),
        ("what that imports", {"helper": HELPER.replace("SCALE * x", "SCALE + x")}),
        ("a constant", {"helper": HELPER.replace("2.0", "3.0")}),
    ],
)
def test_what_counts(tmp_path, what, changed):
    assert code_of(tmp_path, **changed) != code_of(tmp_path), what


def test_names_through_a_module_are_followed(tmp_path):
    before = code_of(tmp_path, "script.figure")
    assert code_of(tmp_path, "script.figure", helper=HELPER.replace("2.0", "3.0")) != before


@pytest.mark.parametrize("name", ["bp.digits", "digits"])
def test_public_names_are_followed_to_where_they_are_defined(tmp_path, name):
    script = f"import bioplastic as bp\nfrom bioplastic import digits\n\n\ndef measure():\n    return {name}()\n"
    code = "import script; from bioplastic.fingerprint import definitions; print(*definitions(script.measure))"
    tmp_path.joinpath("script.py").write_text(script)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "('bioplastic.tasks', 'digits')" in done.stdout


def test_a_module_counts_as_a_whole(tmp_path):
    assert code_of(tmp_path, "helper", helper=HELPER.replace("red", "blue")) != code_of(tmp_path, "helper")


def test_packages_that_are_installed_do_not_count():
    from bioplastic.theory import screening_length

    assert {module.partition(".")[0] for module, _ in fingerprint.definitions(screening_length)} == {"bioplastic"}


def test_packages_that_are_installed_for_another_environment_do_not_count_either(tmp_path):
    there = tmp_path / "other" / "site-packages"
    there.mkdir(parents=True)
    there.joinpath("helper.py").write_text(HELPER)
    tmp_path.joinpath("script.py").write_text(SCRIPT)
    code = (
        f"import sys; sys.path.append({str(there)!r}); import script; "
        "from bioplastic.fingerprint import definitions; print(*definitions(script.measure))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "('script', 'measure')" in done.stdout
    assert "helper" not in done.stdout


def test_models_count_where_their_folder_is_installed_without_a_file_of_the_package(tmp_path):
    there = tmp_path / "site-packages" / "bioplastic_models"
    there.mkdir(parents=True)
    there.joinpath("chain.py").write_text("def circuit():\n    return 1\n")
    script = "from bioplastic_models import chain\n\n\ndef measure():\n    return chain.circuit()\n"
    tmp_path.joinpath("script.py").write_text(script)
    code = (
        "import sys; from pathlib import Path; "
        "sys.path = [p for p in sys.path if not Path(p, 'bioplastic_models', '__init__.py').exists()]; "
        f"sys.path.append({str(there.parent)!r}); import script; "
        "from bioplastic.fingerprint import definitions; print(*definitions(script.measure))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "('bioplastic_models.chain', 'circuit')" in done.stdout


def test_a_script_counts_alike_whether_it_is_run_or_loaded(tmp_path):
    there = tmp_path / "site-packages" / "bioplastic_scripts"
    there.mkdir(parents=True)
    script = (
        "from bioplastic.fingerprint import code_of\n\n\ndef measure(x):\n    return x\n\n\nprint(code_of(measure))\n"
    )
    there.joinpath("one.py").write_text(script)
    loading = (
        "import sys; from importlib.util import module_from_spec, spec_from_file_location as spec_of; "
        f"spec = spec_of('bioplastic_scripts.one', {str(there / 'one.py')!r}); one = module_from_spec(spec); "
        "sys.modules[spec.name] = one; spec.loader.exec_module(one)"
    )
    loaded = subprocess.run([sys.executable, "-c", loading], capture_output=True, text=True, check=True).stdout
    shutil.copy(there / "one.py", tmp_path)
    run = subprocess.run([sys.executable, "one.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert loaded == run
    tmp_path.joinpath("one.py").write_text(script.replace("return x", "return -x"))
    other = subprocess.run([sys.executable, "one.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert other != run


def test_partials_and_objects_count_by_function_and_class():
    from bioplastic.rules.backprop import Backprop

    assert ("bioplastic.rules.backprop", "Backprop") in fingerprint.definitions(Backprop(0.1))
    assert fingerprint.code_of(partial(Backprop, depth=2)) == fingerprint.code_of(Backprop)
    from bioplastic.study.learner import Learner

    learners = [Learner("backprop", partial(Backprop, depth=2))]
    assert ("bioplastic.rules.backprop", "Backprop") in fingerprint.definitions(partial(max, learners))


def test_what_is_typed_in_counts():
    code = """
from bioplastic import fingerprint
import linecache
def cell(text):
    linecache.cache["<cell>"] = (len(text), None, text.splitlines(True), "<cell>")
    exec(compile(text, "<cell>", "exec"), globals())
cell("def measure(x):\\n    return x\\n")
one = fingerprint.code_of(measure)
cell("def measure(x):\\n    return x  # the same\\n")
same = fingerprint.code_of(measure)
cell("def measure(x):\\n    return 2*x\\n")
print(one == same, one == fingerprint.code_of(measure))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
