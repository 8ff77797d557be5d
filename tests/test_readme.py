"""The README: its Python is executed, and the commands in it exist and know the options given to them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

# Runs in a fresh interpreter, as a reader would: the blocks one after the other in one namespace, up to the
# first that fails. Brian2's global state stays out of the other tests.
DRIVER = """
import json, sys, traceback
blocks = json.load(sys.stdin)
namespace = {"__name__": "__main__"}
for number, (line, code) in enumerate(blocks):
    try:
        exec(compile("\\n" * line + code, "README.md", "exec"), namespace)
    except BaseException:
        traceback.print_exc()
        break
else:
    number = len(blocks)
with open("done.json", "w") as file:
    json.dump(number, file)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the number of its opening line."""

    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.language}-line{self.line}"


def fenced_blocks(markdown: str) -> list[Block]:
    """Every fenced block, nested in lists or not."""
    blocks, fence, start, language = [], None, 0, ""
    lines = markdown.splitlines()
    for number, line in enumerate(lines, 1):
        mark = re.match(r"\s*(`{3,}|~{3,})\s*(\w*)", line)
        if fence is None and mark:
            fence, language, start = mark[1], mark[2], number
        elif fence is not None and mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            indent = len(lines[start - 1]) - len(lines[start - 1].lstrip())
            text = "\n".join(inner[indent:] for inner in lines[start : number - 1])
            blocks.append(Block(language, text + "\n", start))
            fence = None
    assert fence is None, f"the block opened on line {start} is never closed"
    return blocks


def commands(text: str) -> list[list[str]]:
    """This project's own commands in a shell block, as words: scripts, and `bioplastic SUB`."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||[;|]", line.strip().removeprefix("$ ")):
            words = [w for w in shlex.split(part, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", w)]
            if not words:
                continue
            if words[0] == "bash" and len(words) > 1:
                words = words[1:]
            if re.fullmatch(r"python[\d.]*", words[0]) and len(words) > 1 and words[1].endswith(".py"):
                found.append(words[1:])
            elif re.fullmatch(r"(\./)?(scripts|\.ci)/\S+", words[0]) or words[0] == "bioplastic":
                found.append(words)
    return found


def help_command(words: list[str]) -> list[str]:
    """The command that prints the help for the given words."""
    if words[0] == "bioplastic":
        sub = [w for w in words[1:2] if not w.startswith("-")]
        entry = "import sys; sys.argv[0] = 'bioplastic'; from bioplastic.cli import main; sys.exit(main())"
        return [sys.executable, "-c", entry, *sub, "--help"]
    runner = sys.executable if words[0].endswith(".py") else "bash"
    return [runner, words[0], "--help"]


def options(words: list[str]) -> set[str]:
    """The options among the words, without their values."""
    return {word.partition("=")[0] for word in words[1:] if re.match(r"--?[A-Za-z]", word)}


def unknown_options(words: list[str], help_text: str) -> set[str]:
    """Options given to a command that its help does not mention."""
    return {o for o in options(words) if not re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", help_text)}


def readme_blocks(*languages: str) -> list[Block]:
    """The README's blocks in a language; while there is no README there are none, and a test says so."""
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    return [block for block in fenced_blocks(text) if block.language in languages]


PYTHON = readme_blocks("python")
SHELL = readme_blocks("bash", "sh", "console")
COMMANDS = [words for block in SHELL for words in commands(block.text)]


def test_readme_has_blocks() -> None:
    assert README.exists(), "README.md is missing"
    assert PYTHON, "README.md has no Python block"
    assert SHELL, "README.md has no shell block"
    assert COMMANDS, "no shell block of README.md calls a script or bioplastic"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """How many Python blocks ran, and the traceback of the one that did not.

    They run in a copy of what they read, so that they find data/golden and cannot write into the repository.
    """
    folder = tmp_path_factory.mktemp("readme")
    if (ROOT / "data" / "golden").exists():
        shutil.copytree(ROOT / "data" / "golden", folder / "data" / "golden")
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps([(block.line, block.text) for block in PYTHON]),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    finished = folder / "done.json"
    return json.loads(finished.read_text()) if finished.exists() else 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PYTHON)), ids=lambda n: str(PYTHON[n]))
def test_python_block_runs(number: int, executed: tuple[int, str]) -> None:
    ran, errors = executed
    assert number < ran, errors if number == ran else "an earlier block failed"


SLOW = [pytest.mark.slow]


def is_slow(words: list[str]) -> bool:
    """Whether a command takes seconds to say its options: a script imports torch and Brian2 before it answers."""
    return words[0].endswith(".py") and len(words) > 1


@pytest.mark.parametrize(
    "words",
    [pytest.param(words, marks=SLOW if is_slow(words) else [], id=" ".join(words)) for words in COMMANDS],
)
def test_command_exists(words: list[str]) -> None:
    if words[0] != "bioplastic":
        path = ROOT / words[0]
        assert path.is_file(), f"README.md calls {words[0]}, which does not exist"
    if words[0].startswith(".ci"):
        return  # no options, and it would run the tests
    if words[0].endswith(".py") and len(words) == 1:
        return  # no options here either; tests/test_scripts.py asks every script for its help
    done = subprocess.run(help_command(words), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not unknown_options(words, done.stdout), done.stdout


SAMPLE = """
# Title

```bash
git clone somewhere && cd somewhere
PYTHON=python3.12 ./scripts/demo.sh --quick   # a comment; with a semicolon
python scripts/reach.py --hops 20 \\
    --out=run.h5 && bioplastic inspect run.h5
pip install -e ".[all]"
bash .ci/run
```

1. A list

   ```python
   x = 1
   if x:
       y = x
   ```

~~~text
```python
not code
```
~~~

```python
assert y == 1
```
"""


def test_blocks_of_a_sample() -> None:
    blocks = fenced_blocks(SAMPLE)
    assert [block.language for block in blocks] == ["bash", "python", "text", "python"]
    assert blocks[1].text == "x = 1\nif x:\n    y = x\n"
    assert SAMPLE.splitlines()[blocks[3].line] == "assert y == 1"
    with pytest.raises(AssertionError, match="never closed"):
        fenced_blocks("```python\nx = 1\n")


def test_commands_of_a_sample() -> None:
    assert commands(fenced_blocks(SAMPLE)[0].text) == [
        ["./scripts/demo.sh", "--quick"],
        ["scripts/reach.py", "--hops", "20", "--out=run.h5"],
        ["bioplastic", "inspect", "run.h5"],
        [".ci/run"],
    ]


def test_option_check_can_fail() -> None:
    words = ["scripts/reach.py", "--hops", "-3", "--out=a.h5", "--quic"]
    assert options(words) == {"--hops", "--out", "--quic"}
    assert unknown_options(words, "usage: [--hops N] [--out FILE] [--quick]") == {"--quic"}


def test_driver_stops_at_the_first_failure(tmp_path: Path) -> None:
    def run(*blocks: str) -> tuple[int, str]:
        data = json.dumps([(10, block) for block in blocks])
        done = subprocess.run([sys.executable, "-c", DRIVER], input=data, cwd=tmp_path, capture_output=True, text=True)
        return json.loads((tmp_path / "done.json").read_text()), done.stderr

    assert run("x = 1", "assert x == 1") == (2, "")
    ran, errors = run("x = 1", "assert x == 2", "x = 3")
    assert ran == 1
    assert 'File "README.md", line 11' in errors
