"""What is shipped for training: manifests of the kinds that JobSet and Kubeflow Trainer add, by the models that are generated
of their schemas, the jobs in them by the schemas of Kubernetes, what they tell the processes; and Slurm's script."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
from kubeflow_trainer_api import models

from shipped import FOLDER, Containerfile, training_kind, training_objects

SCRIPT = FOLDER / "training/slurm.sh"
MODELS = {
    "JobSet": models.JobsetV1alpha2JobSet,
    "TrainJob": models.TrainerV1alpha1TrainJob,
    "TrainingRuntime": models.TrainerV1alpha1TrainingRuntime,
}


def is_valid(value):
    """Whether a kind's model takes an object and has a place for all that is in it."""
    return MODELS[value["kind"]].from_dict(copy.deepcopy(value)).to_dict() == value


def jobs():
    """The jobs that a JobSet makes, by the objects that say so."""
    for value in training_objects():
        if value["kind"] == "TrainJob":
            continue
        spec = value["spec"] if value["kind"] == "JobSet" else value["spec"]["template"]["spec"]
        [job] = spec["replicatedJobs"]
        yield value["kind"], spec, job


JOBS = [pytest.param(spec, job, id=name) for name, spec, job in jobs()]


def pod(job):
    return job["template"]["spec"]["template"]["spec"]


def container(job):
    [found] = pod(job)["containers"]
    return found


@pytest.mark.parametrize("value", [pytest.param(value, id=value["kind"]) for value in training_objects()])
def test_an_object_is_valid_by_its_model(value):
    assert is_valid(value)


def test_an_invalid_object_is_noticed():
    value = training_kind("JobSet")
    value["spec"]["failurePolicy"]["maximumRestarts"] = 3
    assert not is_valid(value)
    value = training_kind("TrainJob")
    value["spec"]["trainer"]["numNodes"] = "four"
    with pytest.raises(ValueError):
        is_valid(value)


@pytest.mark.parametrize("spec, job", JOBS)
def test_the_job_of_a_set_is_valid_by_the_schemas(spec, job):
    value = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job["name"]}, "spec": job["template"]["spec"]}
    kubernetes_validate.validate(value, kubernetes_validate.latest_version(), strict=True)
    value["spec"]["backOffLimit"] = 0
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(value, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("spec, job", JOBS)
def test_one_pod_that_fails_is_the_end_of_all_and_one_that_was_told_to_end_does_not_count(spec, job):
    assert (pod(job)["restartPolicy"], job["template"]["spec"]["backoffLimit"]) == ("Never", 0)
    assert spec["failurePolicy"]["restartStrategy"] == "BlockingRecreate"
    [told_to_end] = spec["failurePolicy"]["rules"]
    assert told_to_end["onJobFailureReasons"] == ["PodFailurePolicy"]
    [rule] = job["template"]["spec"]["podFailurePolicy"]["rules"]
    # The exit code of a run that has saved, see src/exit.rs of llada-cli.
    assert rule["onExitCodes"] == {"containerName": container(job)["name"], "operator": "In", "values": [130]}


@pytest.mark.parametrize("spec, job", JOBS)
def test_a_pod_has_no_rights_and_writes_to_the_volume_alone(spec, job):
    context = pod(job)["securityContext"]
    assert Containerfile().value("USER") == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["runAsNonRoot"] is True and pod(job)["automountServiceAccountToken"] is False
    context = container(job)["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
    [mount], [volume] = container(job)["volumeMounts"], pod(job)["volumes"]
    assert mount["mountPath"] == container(job)["workingDir"] and mount["name"] == volume["name"]


def test_the_variables_of_a_set_are_those_of_its_pods():
    value = training_kind("JobSet")
    [job] = value["spec"]["replicatedJobs"]
    variables = {variable["name"]: variable for variable in container(job)["env"]}
    count = job["template"]["spec"]["completions"]
    assert job["template"]["spec"]["parallelism"] == count and variables["WORLD_SIZE"]["value"] == str(count)
    assert job["template"]["spec"]["completionMode"] == "Indexed" and job["replicas"] == 1
    index = variables["RANK"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert index == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    # JobSet's name of a pod: the set, the replicated job, its index, the pod's; and the set is the subdomain.
    name = value["metadata"]["name"]
    assert variables["MASTER_ADDR"]["value"] == f"{name}-{job['name']}-0-0.{name}"
    assert variables["OMP_NUM_THREADS"]["value"] == container(job)["resources"]["requests"]["cpu"]
    assert container(job)["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_the_job_takes_what_kubeflow_sets_for_torchrun():
    job, runtime = training_kind("TrainJob")["spec"], training_kind("TrainingRuntime")
    assert job["runtimeRef"]["name"] == runtime["metadata"]["name"]
    assert job["runtimeRef"]["kind"] == runtime["kind"]
    assert job["runtimeRef"]["apiGroup"] == runtime["apiVersion"].partition("/")[0]
    # Kubeflow's plugin for PyTorch fills the container `node` of the job `node` with this label, one process a pod here.
    assert runtime["spec"]["mlPolicy"] == {"torch": {}} and job["trainer"]["numProcPerNode"] == 1
    [node] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert node["name"] == container(node)["name"] == "node"
    assert node["template"]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    assert job["trainer"]["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == 1
    command = job["trainer"]["command"]
    assert command[0] == "env" and command[-2:] == ["llada", "pretrain"]
    variables = dict(re.fullmatch(r"(\w+)=\$\((\w+)\)", word).groups() for word in command[1:-2])
    assert variables == {
        "RANK": "PET_NODE_RANK",
        "WORLD_SIZE": "PET_NNODES",
        "MASTER_ADDR": "PET_MASTER_ADDR",
        "MASTER_PORT": "PET_MASTER_PORT",
    }


def test_the_script_has_no_mistake_that_shellcheck_knows():
    for script in (SCRIPT, FOLDER / "bulk/batch.sh"):
        subprocess.run([Path(sys.executable).with_name("shellcheck"), script], check=True)


def test_the_script_asks_for_time_to_save_and_for_its_queue():
    options = re.findall(r"^#SBATCH (.+)$", SCRIPT.read_text(), flags=re.M)
    assert "--requeue" in options
    # Without `B:` the signal goes to the tasks, and not to the shell.
    [signalled] = [option for option in options if option.startswith("--signal=")]
    assert re.fullmatch(r"--signal=TERM@\d+", signalled)
