#!/usr/bin/env bash
# Builds the image with docker, podman or buildah, whichever works here. All settings are variables:
#   IMAGE    name and tag (default: dichroism:<version of the project>)
#   BASE     the base image (default: that of the Containerfile); `debian` makes one of Debian's packages by debootstrap,
#            as root, for a machine that reaches no registry
#   WITH     version of Python in BASE, for which wheels are chosen (default: 3.13; with BASE=debian, that of Debian)
#   WHEELS   a folder that has all the wheels already: nothing is downloaded
#   ENGINE   docker, podman or buildah (default: the first that works)
#   STORAGE  a folder in which buildah keeps its images (default: its own)
#   ARCHIVE  a file to save the image to, as `docker save` does, for a node that pulls from no registry
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022   # modes in the image are those of the files that we make
PYTHON=${PYTHON:-.venv/bin/python}
VERSION=$($PYTHON -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
IMAGE=${IMAGE:-dichroism:$VERSION}
BASE=${BASE:-}
WITH=${WITH:-}
SUITE=bookworm
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

say() { echo "image: $*" >&2; }
buildah() { command buildah ${STORAGE:+--root "$STORAGE/storage" --runroot "$STORAGE/run"} "$@"; }

engine() {
  for name in docker podman; do
    if command -v $name > /dev/null && $name info > /dev/null 2>&1; then echo $name; return; fi
  done
  if command -v buildah > /dev/null; then echo buildah; return; fi
  say "neither docker nor podman answers, and there is no buildah; install one of them (apt-get install buildah)"
  return 1
}

# A base of Debian's packages alone.
debian_base() {
  local base=localhost/dichroism-base:$SUITE root=$context/root container
  if ! buildah inspect --type image "$base" > /dev/null 2>&1; then
    say "making a base of Debian $SUITE, once"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$SUITE" "$root" > "$context/log" 2>&1 \
      || { tail -5 "$context/log" >&2; return 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$root" / > /dev/null
    buildah config --env LANG=C.UTF-8 --env PATH=/usr/bin:/bin "$container"
    buildah commit --quiet --rm "$container" "$base" > /dev/null
    rm -rf "$root"
  fi
  echo "$base"
}

ENGINE=${ENGINE:-$(engine)}
if [ "$BASE" = debian ]; then
  [ "$ENGINE" = buildah ] || { say "BASE=debian takes buildah: set ENGINE=buildah"; exit 1; }
  BASE=$(debian_base)
  WITH=${WITH:-3.11}
fi
WITH=${WITH:-3.13}

wheels=$context/wheels
mkdir "$wheels"
if [ -n "${WHEELS:-}" ]; then
  cp "$WHEELS"/*.whl "$wheels"
else
  say "collecting the wheels of requirements/operator.lock for Python $WITH"
  platforms=(--platform any)
  for libc in manylinux2014 manylinux_2_17 manylinux_2_27 manylinux_2_28; do
    platforms+=(--platform "${libc}_$(uname -m)")
  done
  $PYTHON -m pip download --quiet --disable-pip-version-check --dest "$wheels" --require-hashes --no-deps \
    --requirement requirements/operator.lock --only-binary :all: --python-version "$WITH" --implementation cp \
    --abi "cp${WITH/./}" --abi abi3 --abi none "${platforms[@]}"
fi
$PYTHON -m pip wheel --quiet --disable-pip-version-check --wheel-dir "$wheels" --no-deps --no-build-isolation .
cp image/Containerfile "$context"

no_image() {
  say "$ENGINE could not build $IMAGE. Where no registry can be reached, BASE=debian makes the base from Debian's packages"
  exit 1
}

say "building $IMAGE with $ENGINE"
arguments=(--file "$context/Containerfile" --tag "$IMAGE" ${BASE:+--build-arg "BASE=$BASE"})
case $ENGINE in
  # Isolation by chroot takes no runc, no network and no rights over the cgroups of this machine.
  buildah) buildah bud --quiet --isolation chroot "${arguments[@]}" "$context" > /dev/null || no_image ;;
  *) DOCKER_BUILDKIT=1 $ENGINE build --quiet "${arguments[@]}" "$context" > /dev/null || no_image ;;
esac
if [ -n "${ARCHIVE:-}" ]; then
  rm -f "$ARCHIVE"
  case $ENGINE in
    buildah) buildah push --quiet "$IMAGE" "docker-archive:$ARCHIVE:$IMAGE" ;;
    podman) podman save --quiet --format docker-archive --output "$ARCHIVE" "$IMAGE" ;;
    docker) docker save --output "$ARCHIVE" "$IMAGE" ;;
  esac
  say "saved to $ARCHIVE"
fi
echo "$IMAGE"
