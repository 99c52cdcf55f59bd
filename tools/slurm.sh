#!/usr/bin/env bash
# What slurm_train.sh and slurm_test.sh share: slurm.sh SCRIPT PARTITION JOB_NAME [arguments].
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/python.sh"
# shellcheck disable=SC2086  (several options)
exec srun --partition "$2" --job-name "$3" --ntasks "${GPUS:-4}" --kill-on-bad-exit=1 \
    --ntasks-per-node "${GPUS_PER_NODE:-4}" --gres "gpu:${GPUS_PER_NODE:-4}" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" ${SRUN_ARGS:-} "$PYTHON" -u "$1" "${@:4}" --launcher slurm
