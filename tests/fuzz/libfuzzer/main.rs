//! libFuzzer's entry. `FUZZ_TARGET` names the target; `./x fuzz` sets it.
#![no_main]

use std::sync::OnceLock;

use fuzzing::Target;

static TARGET: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let target = fuzzing::target(&name).unwrap_or_else(|| panic!("no target {name:?}: {}", fuzzing::names()));
        TARGET.get_or_init(|| target);
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.body)(data);
        }
    }
);
