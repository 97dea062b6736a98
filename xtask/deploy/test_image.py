"""The container file, built, and the server in it."""

import hashlib
import json
import shlex

import pytest

from image import IMAGE, build, buildah, in_container
from replica import MODEL, free_port
from shipped import Containerfile

# Starts the server, waits until the image's own check says that it is well, and ends it.
SCRIPT = """
set -eu
{server} & server=$!
until {health_check}; do kill -0 $server; sleep 0.2; done
kill -s {signal} $server
wait $server
echo "ended well as $(id -u):$(id -g), with $(ls -A /opt/llada)"
"""


@pytest.fixture(scope="module", autouse=True)
def image():
    build()


@pytest.fixture
def container():
    name = buildah("from", "--pull-never", IMAGE)
    yield name
    buildah("rm", name)


def test_the_image_says_how_it_is_run():
    file = Containerfile()
    config = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    assert config["User"] == file.value("USER")
    assert config["StopSignal"] == file.value("STOPSIGNAL")
    assert list(config["ExposedPorts"]) == [file.value("EXPOSE") + "/tcp"]
    assert config["Healthcheck"]["Test"] == ["CMD", *file.health_check()]
    assert config["Entrypoint"] + config["Cmd"] == file.words("ENTRYPOINT") + file.words("CMD")


def test_the_server_in_the_image_is_well_and_ends_when_asked(container, tmp_path):
    file = Containerfile()
    keys = tmp_path / "keys.txt"
    keys.write_text(f"check {hashlib.sha256(b'key').hexdigest()}\n")
    # Pytest's folders are for their owner alone, and the server is someone else.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    server = file.words("ENTRYPOINT") + file.words("CMD")
    port = str(free_port())
    script = SCRIPT.format(
        server=shlex.join(server).replace(file.value("EXPOSE"), port),
        health_check=shlex.join(file.health_check()).replace(file.value("EXPOSE"), port),
        signal=file.value("STOPSIGNAL"),
    )
    mounts = ["--volume", f"{MODEL}:/model:ro", "--volume", f"{tmp_path}:/run/secrets/llada:ro"]
    said = in_container(container, "bash", "-c", script, options=mounts)
    assert said.endswith(f"ended well as {file.value('USER')}, with .libtorch")
