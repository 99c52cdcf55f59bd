#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: torchrun.sh PROCESSES SCRIPT [arguments].
set -euo pipefail
PROCESSES=$1
shift
. "$(dirname "${BASH_SOURCE[0]}")/python.sh"
RUN=("$PYTHON" -u)
# torchrun would set one thread a process; each takes its share (zegclip.compat.limit_threads).
if [ -z "${OMP_NUM_THREADS:-}" ]; then
    export OMP_NUM_THREADS=1 # or torchrun warns
    RUN=(env -u OMP_NUM_THREADS "${RUN[@]}")
fi
NNODES=${NNODES:-1}
RENDEZVOUS=(--nnodes "$NNODES")
if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ]; then
    RENDEZVOUS+=(--standalone) # torchrun finds a free port
else
    RENDEZVOUS+=(--node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:-127.0.0.1}"
        --master_port "${PORT:-29500}")
fi
exec "$PYTHON" -m torch.distributed.run "${RENDEZVOUS[@]}" --nproc_per_node "$PROCESSES" \
    --no_python "${RUN[@]}" "$@"
