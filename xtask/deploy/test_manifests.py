"""The manifests of Kubernetes: what they are by its schemas, and that they fit each other."""

import re

import kubernetes_validate
import pytest
import yaml

from shipped import FOLDER, Containerfile, arguments, container, kind, objects, pod

# The oldest version with `preStop.sleep` by default, and the newest whose schemas are installed.
VERSIONS = ["1.30", kubernetes_validate.latest_version()]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path, value", [pytest.param(*found, id=str(found[0])) for found in objects()])
def test_an_object_is_valid_by_the_schemas(path, value, version):
    kubernetes_validate.validate(value, version, strict=True)


def test_an_invalid_object_is_noticed():
    value = kind("Deployment")
    value["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(value, VERSIONS[-1], strict=True)


def test_all_objects_speak_of_the_same_pods():
    labels = kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert kind("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert kind("Service")["spec"]["selector"] == labels
    [spread] = pod()["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels


def test_the_autoscaler_scales_the_deployment():
    target = kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    deployment = kind("Deployment")
    found = (target["apiVersion"], target["kind"], target["name"])
    assert found == (deployment["apiVersion"], "Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]


@pytest.mark.parametrize("name", ["Deployment", "Job"])
def test_a_replica_has_one_gpu_and_no_rights(name):
    pod = kind(name)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False


def test_the_grace_is_longer_than_what_it_is_for():
    needed = container()["lifecycle"]["preStop"]["sleep"]["seconds"] + int(arguments()["drain-timeout"])
    assert needed + 5 <= pod()["terminationGracePeriodSeconds"]


def test_ports_are_the_ones_that_the_server_listens_on():
    [port] = container()["ports"]
    assert str(port["containerPort"]) == arguments()["port"]
    assert [found["targetPort"] for found in kind("Service")["spec"]["ports"]] == [port["name"]]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[probe]["httpGet"]["port"] == port["name"]
    annotations = kind("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == arguments()["port"]


def test_what_is_mounted_is_what_the_arguments_name():
    mounted = [mount["mountPath"] for mount in container()["volumeMounts"] if mount["readOnly"]]
    assert any(arguments()["model"].startswith(path + "/") for path in mounted)
    assert any(arguments()["api-keys"].startswith(path + "/") for path in mounted)
    assert {mount["name"] for mount in container()["volumeMounts"]} == {volume["name"] for volume in pod()["volumes"]}


def test_the_container_file_agrees_with_the_manifests():
    file = Containerfile()
    assert file.value("EXPOSE") == arguments()["port"]
    assert file.value("STOPSIGNAL") == "SIGTERM"
    for name in ("Deployment", "Job"):
        context = kind(name)["spec"]["template"]["spec"]["securityContext"]
        assert file.value("USER") == f"{context['runAsUser']}:{context['runAsGroup']}"
    [health_check] = [word for word in file.health_check() if "/health" in word]
    assert f"/dev/tcp/127.0.0.1/{arguments()['port']} " in health_check
    assert f"GET {container()['livenessProbe']['httpGet']['path']} HTTP" in health_check


def test_the_adapter_passes_on_the_metrics_of_the_autoscaler():
    [rule] = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    pattern = re.search(r'__name__=~"([^"]+)"', rule["seriesQuery"])[1]
    for metric in kind("HorizontalPodAutoscaler")["spec"]["metrics"]:
        assert re.fullmatch(pattern, metric["pods"]["metric"]["name"])
