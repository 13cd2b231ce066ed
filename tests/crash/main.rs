//! `kill -9` on the program `wa-bridge` in the middle of calls, and what its next life makes of them; WhatsApp
//! and the PBX are simulated here and live on.

mod disk;
mod kill;
#[path = "../sipp/program.rs"]
mod program;
mod stage;
