"""Reads a Dockerfile of the plain kind that ours is: one instruction a line, continued by a backslash."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name and the rest, continuation lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    def settings(self) -> dict[str, str]:
        """What an ARG, ENV or LABEL sets; an ARG without a default sets nothing."""
        return dict(x.split("=", 1) for x in self.words if "=" in x)


@dataclass
class Stage:
    """A stage: what it starts from (as written), its name and its instructions."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def named(self, name: str) -> list[Instruction]:
        return [x for x in self.instructions if x.name == name]

    def environment(self) -> dict[str, str]:
        return {key: value for x in self.named("ENV") for key, value in x.settings().items()}


def read_instructions(path: Path) -> list[Instruction]:
    """Every instruction of a file, those before the first stage included."""
    lines = [x for x in path.read_text().splitlines() if not x.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*x.split(None, 1)) for x in joined.splitlines() if x.strip()]


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages of a file, in order."""
    stages: list[Stage] = []
    for instruction in read_instructions(path):
        if instruction.name == "FROM":
            base, _, name = instruction.words
            stages.append(Stage(base, name))
        elif stages:
            stages[-1].instructions.append(instruction)
    return stages
