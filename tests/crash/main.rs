//! The program `wa-bridge` as a process: killed in the middle of calls, starved, without a disk, and read; WhatsApp and
//! the PBX are simulated here and live on.

mod disk;
mod kill;
#[path = "../sipp/program.rs"]
mod program;
mod secrets;
mod stage;
mod starved;
mod upgrade;
