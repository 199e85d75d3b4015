"""The commands that README.md and doc/ name, and what is wrong with each: no such script, module, option or setting."""

import contextlib
import functools
import importlib
import io
import itertools
import re
import shlex
import subprocess
from argparse import ArgumentParser
from typing import NamedTuple
from unittest import mock

from support import ROOT
from support.scripts import SCRIPTS

# Words of the shell, and programs that are not the project's.
SHELL = {"do", "exec", "export", "nice", "time"}
OTHERS = {"apt-get", "cd", "done", "for", "git", "sbatch", "unset"}
# Programs whose options are those of another.
OWNED = {"start_scheduler": "dask scheduler", "start_workers": "dask worker", "pytest": "pytest"}
LIBRARY_SETTINGS = {"OMP_NUM_THREADS", "DASK_CONFIG", "PYTHONWARNINGS"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"([A-Z_]+)=(.*)", re.DOTALL)
# What in a sentence is a command.
COMMAND = re.compile(r"(\S*=\S* )*(bash|time|nice|exec|\S*python3?) |(script/)?[a-z]\w*\.sh( |$)")
PLACEHOLDER = re.compile(r"\b[A-Z]+\b|\.\.$")


class Command(NamedTuple):
    """Settings in the environment, and words: a program and what it is given."""

    settings: dict[str, str]
    words: list[str]


def commands_in(text):
    """List the commands of a piece of shell."""
    counted = itertools.count()  # in place of what the shell would compute: a range's end is above its start
    text = re.sub(r"\$\(\([^$]*?\)\)(?!\))", lambda _: str(next(counted)), text.replace("\\\n", " "))
    found = []
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|"):
                words.append(word)
                continue
            settings = {}
            while words and (words[0] in SHELL or SETTING.fullmatch(words[0])):
                if match := SETTING.fullmatch(words.pop(0)):
                    settings[match[1]] = match[2]
            if settings or words:
                found.append(Command(settings, words))
            words = []
    return found


def spans_of(text):
    """List what stands between single backticks, outside blocks of code."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def commands_of(text):
    """List all commands of a page, from blocks of code and from within sentences."""
    pieces = [code for language, code in FENCE.findall(text) if language == "bash"]
    pieces += [span for span in spans_of(text) if COMMAND.match(span)]
    return [command for piece in pieces for command in commands_in(piece)]


def training_section():
    """Return the commands of the section on training in doc/network.md as one block."""
    page = (ROOT / "doc" / "network.md").read_text(encoding="utf-8")
    section = page.partition("\n## Training\n")[2].partition("\n## ")[0]
    return "".join(code for language, code in FENCE.findall(section) if language == "bash")


def options_in(words):
    """List the names of the options among words."""
    return [word.partition("=")[0] for word in words if word.startswith("--")]


@functools.cache
def script_text(name):
    return (SCRIPTS / name).read_text(encoding="utf-8").replace("\\\n", " ")


@functools.cache
def default_settings():
    """Return the settings of a stage whose user has set none."""
    shell = "cd /; cd - >/dev/null; source script/env.sh; env"
    done = subprocess.run(["bash", "-euc", shell], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(line.partition("=")[::2] for line in done.stdout.splitlines())


def settings_known_to(name):
    """Names of the settings that a script, or script/env.sh, reads."""
    return set(re.findall(r"\$\{?([A-Z_]+)", script_text(name) + script_text("env.sh"))) | LIBRARY_SETTINGS


@functools.cache
def every_setting():
    return set().union(*(settings_known_to(path.name) for path in SCRIPTS.glob("*.sh")))


def launched_by(name, settings):
    """Return the module that a script runs, or None, and the words that it gives to it before the user's."""
    text = script_text(name)
    if further := re.search(r'bash script/(\w+\.sh) "\$@"', text):
        return launched_by(further[1], settings)
    launch = re.search(r"(?:^stage|-m (?=pytest)) ?(\w+)(.*)", text, re.MULTILINE)
    if launch is None:
        return None, []
    values = default_settings() | {"device": "auto"} | settings

    def value(match):
        return values.get(match[1]) or match[2] or "x"

    given = re.sub(r'"\$\{\w+\[@\]\}"', "", launch[2]).partition('"$@"')[0]
    return OWNED.get(launch[1], f"src.{launch[1]}"), shlex.split(re.sub(r"\$\{?(\w+)(?::-([^}]*))?\}?", value, given))


class Parsed(Exception):
    """A command line was read; nothing further is to happen."""


def read_by(module, words):
    """Have a program read a command line and do no more; return what it says, on help or on a fault, else nothing."""
    program = importlib.import_module(module)
    read = ArgumentParser.parse_args

    def read_and_stop(parser, argv=None, namespace=None):
        read(parser, argv, namespace)
        raise Parsed

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit, Parsed):
        if hasattr(program, "parse_args"):
            program.parse_args(words)
        else:
            with mock.patch.object(ArgumentParser, "parse_args", read_and_stop):
                program.main(words)
    return said.getvalue()


@functools.cache
def options_of(module):
    """Names of the options that a program knows."""
    if module is None:
        return set()
    if module == "pytest":  # those of script/test.sh itself
        return set(re.findall(r"--[a-z][\w-]+", script_text("test.sh")))
    if module.startswith("dask "):
        command = importlib.import_module(f"distributed.cli.dask_{module.removeprefix('dask ')}").main
        return {name for parameter in command.params for name in parameter.opts}
    listed = read_by(module, ["--help"]).partition("\noptions:\n")[2]
    return set(re.findall(r"^ {2,4}(?:-\w, )?(--[\w-]+)", listed, re.MULTILINE))


@functools.cache
def every_option():
    programs = [*(ROOT / "src").glob("*.py"), *(ROOT / "benchmark").glob("*.py")]
    modules = [
        OWNED.get(path.stem, f"{path.parent.name}.{path.stem}") for path in programs if not path.stem.startswith("__")
    ]
    return set().union(*map(options_of, ["pytest", *modules]))


def faults_of(command):
    """List what is wrong with a command; nothing where it can run."""
    settings, words = command
    if not words:
        return [f"{name}: no such setting" for name in settings.keys() - every_setting()]
    if words[0] in OTHERS:
        return []
    called, *given = words[1:] if words[0] == "bash" else words
    if called.endswith(".sh"):
        name = called.removeprefix("script/")
        if not (SCRIPTS / name).exists() or (words[0] == "bash" and called == name):
            return [f"{called}: no such script"]
        known = settings_known_to(name)
        module, fixed = launched_by(name, settings)
    elif called == ".venv/bin/python" and "-m" in given:
        known, fixed = every_setting(), []
        while "-m" in given:  # torchrun is told of another
            module, *given = given[given.index("-m") + 1 :]
        if module == "src":
            module, *given = [f"src.{given[0]}", *given[1:]]
        if module in ("pip", "pytest"):
            return []
        if not (ROOT / f"{module.replace('.', '/')}.py").exists():
            return [f"{module}: no such module"]
    else:
        return [f"{' '.join(words)}: no program of this project"]
    faults = [f"{name}: no setting of {called}" for name in settings.keys() - known]
    faults += [f"{name}: no option of {module}" for name in options_in(given) if name not in options_of(module)]
    if not faults and str(module).startswith(("src.", "benchmark.")) and not any(map(PLACEHOLDER.search, given)):
        faults += read_by(module, fixed + given).strip().splitlines()[-1:]
    return faults
