#!/usr/bin/env bash
# Train on several GPUs, or without CUDA in several processes on the CPU (gloo).
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT as in mmseg. PORT is a free one by
# default on a single machine. PYTHON chooses the interpreter.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
TOOLS=$(cd "$(dirname "$0")" && pwd)
exec "$TOOLS/torchrun.sh" "$GPUS" "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
