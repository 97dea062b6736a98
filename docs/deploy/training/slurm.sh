#!/bin/bash
# Trains on the machines of a Slurm job, a process a GPU:
#   sbatch slurm.sh pretrain --config run.toml --device cuda
# Before the time is up the processes save and end, and the job goes back into the queue, as it does if a machine fails. The
# folders of the run and of its data have to be shared by all machines.
#SBATCH --job-name=llada
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@300
set -euo pipefail

read -r MASTER_ADDR < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
LLADA=${LLADA:-llada}
export MASTER_ADDR MASTER_PORT OMP_NUM_THREADS LLADA

# A process that has ended is an error of the others, so Slurm need not end them: some may still be saving. What the shell of
# a task replaces is what Slurm has set for it.
status=0
# shellcheck disable=SC2016
srun --kill-on-bad-exit=0 --wait=0 --cpus-per-task="$OMP_NUM_THREADS" bash -c \
    'RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS exec "$LLADA" "$@"' llada "$@" || status=$?
# They were asked to end, and have saved.
if [ "$status" -eq 130 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
