#!/usr/bin/env bash
# The one door to everything that is done with this repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

CARGO_DENY=0.20.2

usage() {
  cat <<'END'
./x sandbox [options]   two calls through the real bridge, then a WhatsApp to play with
                        (--once ends after the calls, --help tells the rest)
./x test [options]      all tests: unit, property, end to end
./x lint                rustfmt, clippy without a warning, the purity of the pure modules
./x docs                the documentation, without a warning
./x deny                licences, sources and forbidden crates
./x fuzz [TARGET] [S]   fuzzes one target, or each, for S seconds (60); what is found is left in target/fuzz
./x build               the release program: target/release/wa-bridge
./x ci                  lint, docs, test, a short fuzz and deny: what must pass before a change lands
END
}

say() { printf '\n== %s\n' "$*"; }

die() {
  printf 'x: %s\n' "$*" >&2
  exit 1
}

# A C compiler and cmake, for libopus and aws-lc.
need_tools() {
  command -v cargo >/dev/null || die "cargo is missing: install Rust with rustup"
  local packages=()
  command -v cc >/dev/null && command -v c++ >/dev/null && command -v make >/dev/null || packages+=(build-essential)
  command -v cmake >/dev/null || packages+=(cmake)
  [ ${#packages[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || die "install these first: a C and C++ compiler, make, cmake"
  say "installing ${packages[*]}"
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "as root: apt-get install ${packages[*]}"
    root=(sudo)
  fi
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

need_component() {
  cargo "$2" --version >/dev/null 2>&1 || rustup component add "$1"
}

sandbox() {
  need_tools
  cargo build --locked --package sandbox
  exec cargo run --quiet --locked --package sandbox -- "$@"
}

tests() {
  need_tools
  say "tests"
  cargo test --locked --workspace "$@"
}

lint() {
  need_tools
  need_component rustfmt fmt
  need_component clippy clippy
  say "rustfmt"
  cargo fmt --all --check
  say "clippy"
  cargo clippy --locked --workspace --all-targets -- -D warnings
  say "purity"
  cargo test --locked --package end-to-end --test purity
}

docs() {
  need_tools
  say "docs"
  RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
}

deny() {
  need_tools
  if ! cargo deny --version >/dev/null 2>&1; then
    say "installing cargo-deny $CARGO_DENY"
    cargo install --locked "cargo-deny@$CARGO_DENY"
  fi
  say "licences, sources, forbidden crates"
  cargo deny --locked check bans licenses sources
}

# libFuzzer on the stable toolchain: the coverage flags are LLVM's own.
fuzz() {
  need_tools
  local one="${1:-all}" seconds="${2:-60}" flags targets target
  flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
  flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
  say "building the fuzzer"
  # A target triple, so that build scripts are built without these flags.
  local triple
  triple="$(rustc -vV | sed -n 's/^host: //p')"
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" cargo build --locked --release --manifest-path tests/fuzz/libfuzzer/Cargo.toml \
    --target "$triple" --target-dir target/fuzz
  targets="$one"
  [ "$one" != all ] || targets="$(cd tests/fuzz/corpus && ls)"
  for target in $targets; do
    [ -d "tests/fuzz/corpus/$target" ] || die "no fuzz target $target: $(cd tests/fuzz/corpus && ls | tr '\n' ' ')"
    say "fuzzing $target for $seconds s"
    mkdir -p "target/fuzz/$target/found" "target/fuzz/$target/grown"
    FUZZ_TARGET="$target" "target/fuzz/$triple/release/libfuzzer" "target/fuzz/$target/grown" "tests/fuzz/corpus/$target" \
      -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
      -artifact_prefix="target/fuzz/$target/found/" || die "$target: what broke it is in target/fuzz/$target/found"
  done
}

build() {
  need_tools
  say "release"
  cargo build --release --locked --package bridge
}

ci() {
  lint
  docs
  tests
  fuzz all 10
  deny
  say "all good"
}

recipe="${1:-help}"
[ $# -eq 0 ] || shift
case "$recipe" in
  sandbox) sandbox "$@" ;;
  test) tests "$@" ;;
  lint) lint ;;
  docs) docs ;;
  deny) deny ;;
  fuzz) fuzz "$@" ;;
  build) build ;;
  ci) ci ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    die "unknown recipe: $recipe"
    ;;
esac
