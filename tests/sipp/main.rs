//! Rules of SIP, each played by SIPp against the program `wa-bridge` with a simulated WhatsApp behind it.
//!
//! A scenario is a file in this folder: `uac_*` call the bridge, `uas_*` are rung by it, the others send what
//! belongs to no call. Each tells its rule on top. What SIPp cannot see, the requests to the Graph API, is said
//! in the tests.

mod program;
mod sipp;
mod stage;
mod users;

/// A test for each scenario that needs nothing but a user, the list of Graph requests, and a way to run SIPp.
macro_rules! played {
    ($($name:ident: $scenario:literal, $options:ident, $user:expr, $asked:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() -> anyhow::Result<()> {
            if crate::sipp::skipped($scenario, crate::sipp::When::Always) {
                return Ok(());
            }
            let stage = crate::stage::Stage::set($user).await?;
            stage.play_with($scenario, &stage.$options()).await?;
            stage.at_rest(&$asked).await
        }
    )*};
}

/// The same where a WhatsApp user calls and SIPp is rung.
macro_rules! rung {
    ($($name:ident: $scenario:literal, $options:ident, $user:expr, $asked:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() -> anyhow::Result<()> {
            if crate::sipp::skipped($scenario, crate::sipp::When::Always) {
                return Ok(());
            }
            let stage = crate::stage::Stage::set(crate::users::answers()).await?;
            stage.ring_with($scenario, $user, &stage.$options()).await?;
            stage.at_rest(&$asked).await
        }
    )*};
}

/// `played!` with lines for the trunk, and with the form that it is of.
macro_rules! played_with {
    ($($when:ident $name:ident: $scenario:literal, $options:ident, $trunk:expr, $user:expr, $asked:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() -> anyhow::Result<()> {
            if crate::sipp::skipped($scenario, crate::sipp::When::$when) {
                return Ok(());
            }
            let stage = crate::stage::Stage::set_with($user, crate::stage::trunk($trunk)).await?;
            stage.play_with($scenario, &stage.$options()).await?;
            stage.at_rest(&$asked).await
        }
    )*};
}

/// `rung!` with lines for the trunk, and with the form that it is of.
macro_rules! rung_with {
    ($($when:ident $name:ident: $scenario:literal, $options:ident, $trunk:expr, $user:expr, $asked:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() -> anyhow::Result<()> {
            if crate::sipp::skipped($scenario, crate::sipp::When::$when) {
                return Ok(());
            }
            let user = crate::users::answers();
            let stage = crate::stage::Stage::set_with(user, crate::stage::trunk($trunk)).await?;
            stage.ring_with($scenario, $user, &stage.$options()).await?;
            stage.at_rest(&$asked).await
        }
    )*};
}

mod admission;
mod cancel;
mod dialogs;
mod digest;
mod every_file;
mod failover;
mod offers;
mod register;
mod reliable;
mod requests;
mod ringing;
mod session_timers;
mod timers;
mod transfer;
mod transports;
