# Shared by the scripts: make .venv and install the project with the extras named in $1, once for each pyproject.toml.
# Sourced, not run.
ensure_venv() {
  local extras="$1" python="" stamp have
  if [ ! -x .venv/bin/python ]; then
    for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
      [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { python="$candidate"; break; }
    done
    [ -n "$python" ] || { echo "Python 3.11 or newer is needed (set PYTHON to name one)." >&2; exit 1; }
    echo "Making .venv with $($python --version) ..." >&2
    "$python" -m venv .venv || { echo "python3-venv is needed to make .venv." >&2; exit 1; }
  fi
  stamp=".venv/.installed-${extras//,/-}"
  have=$(sha256sum pyproject.toml | cut -c1-64)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$have" ]; then
    echo "Installing fhir-server${extras:+ [$extras]} ..." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".${extras:+[$extras]}" || exit 1
    echo "$have" >"$stamp"
  fi
}
