#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: torchrun.sh PROCESSES SCRIPT [arguments].
set -euo pipefail
PROCESSES=$1
shift
. "$(dirname "${BASH_SOURCE[0]}")/python.sh"
# torchrun would set one thread a process; the cores are shared out instead.
if [ -z "${OMP_NUM_THREADS:-}" ] && [ "$PROCESSES" -gt 0 ] 2>/dev/null; then
    THREADS=$(($(nproc) / PROCESSES))
    export OMP_NUM_THREADS=$((THREADS > 0 ? THREADS : 1))
fi
NNODES=${NNODES:-1}
RENDEZVOUS=(--nnodes "$NNODES")
if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ]; then
    RENDEZVOUS+=(--standalone) # torchrun finds a free port
else
    RENDEZVOUS+=(--node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:-127.0.0.1}"
        --master_port "${PORT:-29500}")
fi
exec "$PYTHON" -m torch.distributed.run "${RENDEZVOUS[@]}" --nproc_per_node "$PROCESSES" "$@"
