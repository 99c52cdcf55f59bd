# For the other scripts: PYTHON, the environment that `make setup` makes, unless another one is
# active or asked for.
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$ROOT/.venv/bin/python" ]; then
        PYTHON=$ROOT/.venv/bin/python
    fi
fi
