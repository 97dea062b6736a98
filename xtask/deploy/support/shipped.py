"""The files that are shipped in docs/deploy, read."""

import json
import shlex
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs/deploy"


def objects():
    """Every object of the manifests, with the file that it is in."""
    for path in [*sorted(FOLDER.glob("kubernetes/*.yaml")), FOLDER / "bulk/job.yaml"]:
        for value in yaml.safe_load_all(path.read_text()):
            yield path.relative_to(FOLDER), value


def kind(name):
    """The object of a kind of which there is one."""
    [found] = [value for _, value in objects() if value["kind"] == name]
    return found


def training_objects():
    """Every object of the manifests of training, whose kinds are not Kubernetes' own."""
    for path in sorted(FOLDER.glob("training/*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def training_kind(name):
    """The object of a kind of training of which there is one."""
    [found] = [value for value in training_objects() if value["kind"] == name]
    return found


def pod():
    """The specification of a replica's pod."""
    return kind("Deployment")["spec"]["template"]["spec"]


def container():
    [found] = pod()["containers"]
    return found


def arguments():
    """The options of the replica's `llada serve`, by their names."""
    return dict(argument.removeprefix("--").split("=", 1) for argument in container()["args"])


class Containerfile:
    """The instructions of the container file, in their order."""

    def __init__(self):
        text = (FOLDER / "Containerfile").read_text().replace("\\\n", "")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.instructions = [line.split(maxsplit=1) for line in lines]

    def values(self, name):
        """The values of all instructions of a name."""
        return [value for instruction, value in self.instructions if instruction == name]

    def value(self, name):
        """The value of an instruction that occurs once."""
        [value] = self.values(name)
        return value

    def words(self, name):
        """The value of an instruction that occurs once, if it is a list."""
        return json.loads(self.value(name))

    def health_check(self):
        """The command that tells whether the server is well."""
        options, command = self.value("HEALTHCHECK").split(" CMD ", 1)
        assert all(option.startswith("--") for option in shlex.split(options))
        return json.loads(command)

    def bases(self):
        """The images that the stages begin with."""
        return [value.split()[0] for value in self.values("FROM")]
