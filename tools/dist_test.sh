#!/usr/bin/env bash
# Test on several GPUs, or without CUDA in several processes on the CPU (gloo).
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
#   tools/dist_test.sh CONFIG GPUS [...]    where nothing is learned
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT as in mmseg. PORT is a free one by
# default on a single machine. PYTHON chooses the interpreter.
set -euo pipefail
CHECKPOINT=()
if [[ $# -ge 2 && ! $2 =~ ^[0-9]+$ ]]; then
    CHECKPOINT=("$2")
    set -- "$1" "${@:3}"
fi
if [ $# -lt 2 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
TOOLS=$(cd "$(dirname "$0")" && pwd)
exec "$TOOLS/torchrun.sh" "$GPUS" "$TOOLS/test.py" "$CONFIG" ${CHECKPOINT[@]+"${CHECKPOINT[@]}"} --launcher pytorch "${@:3}"
